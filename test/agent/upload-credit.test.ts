import { afterAll, beforeAll, expect, test } from 'vitest';
import { readFile } from 'node:fs/promises';
import { once } from 'node:events';
import { request, type ClientRequest, type IncomingMessage } from 'node:http';
import { startAgent, TOKEN, type RunningAgent } from './agent-process.js';

let agent: RunningAgent;
beforeAll(async () => {
  agent = await startAgent();
});
afterAll(() => agent.stop());

interface Upload {
  sending: ClientRequest;
  /** Status codes of what came before the answer. */
  said: number[];
  answer: Promise<IncomingMessage>;
}

function upload(file: string, headers: Record<string, string>): Upload {
  const sending = request(`${agent.url}/files?path=${agent.directory}/${file}`, {
    method: 'POST',
    headers: {
      'x-access-token': TOKEN,
      'content-type': 'application/octet-stream',
      expect: '100-continue',
      ...headers,
    },
  });
  const said: number[] = [];
  sending.on('information', ({ statusCode }) => said.push(statusCode));
  sending.flushHeaders();
  return { sending, said, answer: once(sending, 'response').then(([answer]) => answer as IncomingMessage) };
}

test('four units of an upload are asked for at once, and one more for each that was taken', async () => {
  const { sending, said, answer } = upload('asked', { 'x-dormouse-credit': '1000' });
  await expect.poll(() => said, { timeout: 10_000 }).toEqual([102, 102, 102, 102]);
  sending.write(Buffer.alloc(2500, 'a'));
  await expect.poll(() => said.length, { timeout: 10_000 }).toBe(6);
  sending.end(Buffer.alloc(1500, 'b'));
  expect((await answer).statusCode).toBe(200);
  expect(said.every((code) => code === 102)).toBe(true);
  expect(await readFile(`${agent.directory}/asked`, 'utf8')).toBe('a'.repeat(2500) + 'b'.repeat(1500));
});

test('an upload that wants no credit is told to go on', async () => {
  const { sending, said, answer } = upload('plain', {});
  await expect.poll(() => said, { timeout: 10_000 }).toEqual([100]);
  sending.end('all of it');
  expect((await answer).statusCode).toBe(200);
  expect(await readFile(`${agent.directory}/plain`, 'utf8')).toBe('all of it');
});

test('an upload that is refused is not asked for', async () => {
  const { said, answer, sending } = upload('refused', { 'x-dormouse-credit': '1000', 'x-access-token': 'wrong' });
  expect((await answer).statusCode).toBe(401);
  expect(said).toEqual([]);
  sending.destroy();
});
