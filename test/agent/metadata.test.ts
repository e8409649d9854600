import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeFile } from 'node:fs/promises';
import { startAgent, type RunningAgent } from './agent-process.js';

let agent: RunningAgent;
beforeAll(async () => {
  agent = await startAgent();
});
afterAll(() => agent.stop());

const at = (name: string): string => `${agent.directory}/${name}`;
const upload = (file: string, headers: Record<string, string>) =>
  agent.fetch(`/files?${new URLSearchParams({ path: file })}`, { method: 'POST', body: 'x', headers });
const stored = async (name: string) => (await agent.filesystem.stat({ path: at(name) })).entry?.metadata;

test('metadata is stored with the file, told by stat and list, and survives a move', async () => {
  const answer = await upload(at('f'), { 'X-Metadata-Owner': 'x y', 'X-Metadata-kind': '' });
  const metadata = { owner: 'x y', kind: '' };
  expect(await answer.json()).toEqual([{ name: 'f', type: 'file', path: at('f'), metadata }]);
  expect(await stored('f')).toEqual(metadata);
  await agent.filesystem.move({ source: at('f'), destination: at('d/g') });
  const { entries } = await agent.filesystem.listDir({ path: at('d') });
  expect(entries.map((entry) => entry.metadata)).toEqual([metadata]);
});

test('an upload replaces all earlier metadata, and without any its answer has no such key', async () => {
  await upload(at('r'), { 'X-Metadata-a': '1', 'X-Metadata-b': '2' });
  await upload(at('r'), { 'X-Metadata-a': '3' });
  expect(await stored('r')).toEqual({ a: '3' });
  expect(await (await upload(at('r'), {})).json()).toEqual([{ name: 'r', type: 'file', path: at('r') }]);
  expect(await stored('r')).toEqual({});
});

test('metadata that is too long or not printable is refused before anything is written', async () => {
  await writeFile(at('kept'), 'kept');
  const status = async (headers: Record<string, string>) => (await upload(at('never'), headers)).status;
  expect(await status({ [`X-Metadata-${'k'.repeat(246)}`]: 'v' })).toBe(200);
  await agent.filesystem.remove({ path: at('never') });
  expect(await status({ [`X-Metadata-${'k'.repeat(247)}`]: 'v' })).toBe(400);
  expect(await status({ 'X-Metadata-k': 'é' })).toBe(400);
  expect(await status({ 'X-Metadata-a': 'v'.repeat(2048), 'X-Metadata-b': 'v'.repeat(2047) })).toBe(400);
  await expect(agent.filesystem.stat({ path: at('never') })).rejects.toThrow('[not_found]');
});

test('a key that plain objects have for themselves is one like others', async () => {
  const answer = await upload(at('p'), { 'X-Metadata-__proto__': 'kept', 'X-Metadata-constructor': 'too' });
  const metadata = '{"__proto__":"kept","constructor":"too"}';
  expect(await answer.text()).toContain(`"metadata":${metadata}`);
  const stat = await agent.fetch('/filesystem.Filesystem/Stat', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ path: at('p') }),
  });
  expect(await stat.text()).toContain(`"metadata":${metadata}`);
});
