import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { once } from 'node:events';
import { sign, type SignedRequest } from '../../src/agent/signature.js';
import { startAgent, TOKEN, type RunningAgent } from './agent-process.js';
import { bash, collect, run } from './run-command.js';

let agent: RunningAgent;
beforeAll(async () => {
  agent = await startAgent();
});
afterAll(async () => {
  // Whatever came in, it still works.
  expect((await run(agent, bash('echo alive'))).stdout).toBe('alive\n');
  await agent.stop();
});

const at = (name: string): string => `${agent.directory}/${name}`;
const files = (values: Record<string, string>): string => `/files?${new URLSearchParams(values)}`;
const answered = async (answer: Response): Promise<[number, unknown]> => [answer.status, await answer.json()];
const refused = (code: number) => [code, { code, message: expect.any(String) }];

/** A unary call as a client of another make would send it. */
const post = (method: string, body: string | Buffer, headers: Record<string, string> = {}) =>
  agent.fetch(`/${method}`, { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } });
const code = async (answer: Response): Promise<[number, string]> => [
  answer.status,
  ((await answer.json()) as { code: string }).code,
];

describe.each([
  ['with a NUL', 'a\0b'],
  ['10 000 directories deep', `${'d/'.repeat(10_000)}f`],
  ['with a name of 1000 bytes', 'n'.repeat(1000)],
])('a path %s', (_name, path) => {
  test('is invalid in every call', async () => {
    const invalid = '[invalid_argument]';
    const { filesystem } = agent;
    await expect(filesystem.stat({ path })).rejects.toThrow(invalid);
    await expect(filesystem.listDir({ path })).rejects.toThrow(invalid);
    await expect(filesystem.makeDir({ path })).rejects.toThrow(invalid);
    await expect(filesystem.move({ source: path, destination: at('x') })).rejects.toThrow(invalid);
    await expect(filesystem.remove({ path })).rejects.toThrow(invalid);
    await expect(filesystem.createWatcher({ path })).rejects.toThrow(invalid);
    await expect(filesystem.watchDir({ path })[Symbol.asyncIterator]().next()).rejects.toThrow(invalid);
    await writeFile(at('source'), '');
    await expect(filesystem.move({ source: at('source'), destination: path })).rejects.toThrow(invalid);
    await expect(run(agent, bash('true', { cwd: path }))).rejects.toThrow(invalid);
    await expect(run(agent, { process: { cmd: path } })).rejects.toThrow(invalid);
  });

  test('is refused for downloads and uploads', async () => {
    const form = new FormData();
    form.append('file', new Blob(['x']), path);
    const answers = [await agent.fetch('/files', { method: 'POST', body: form })];
    // A longer address than a server takes at all is tested below.
    if (path.length < 10_000) {
      answers.push(await agent.fetch(files({ path })));
      answers.push(await agent.fetch(files({ path }), { method: 'POST', body: 'x' }));
    }
    for (const answer of answers) expect(await answered(answer)).toEqual(refused(400));
  });
});

test('a tree 10 000 directories deep, which no path reaches, is listed as far as paths go, watched, and removed', async () => {
  const grow = `python3 -c "
import os
os.mkdir('deep'); os.chdir('deep')
for _ in range(10000): os.mkdir('d'); os.chdir('d')
"`;
  expect((await run(agent, bash(grow, { cwd: agent.directory }))).end?.exitCode).toBe(0);
  const { entries } = await agent.filesystem.listDir({ path: at('deep'), depth: 4_294_967_295 });
  expect(entries.length).toBeGreaterThan(1_000);
  const { watcherId } = await agent.filesystem.createWatcher({ path: at('deep'), recursive: true });
  await agent.filesystem.removeWatcher({ watcherId });
  await agent.filesystem.remove({ path: at('deep') });
  await expect(stat(at('deep'))).rejects.toThrow('ENOENT');
});

test('a NUL in an argument or a variable is invalid, with and without a terminal', async () => {
  for (const pty of [undefined, { size: { cols: 80, rows: 24 } }]) {
    const given = pty === undefined ? {} : { pty };
    await expect(run(agent, { ...bash('echo a\0b'), ...given })).rejects.toThrow('[invalid_argument]');
    await expect(run(agent, { ...bash('true', { envs: { A: 'a\0b' } }), ...given })).rejects.toThrow(
      '[invalid_argument]',
    );
    await expect(run(agent, { ...bash('true', { envs: { 'A=B\0': 'c' } }), ...given })).rejects.toThrow(
      '[invalid_argument]',
    );
  }
});

test('arguments longer than the kernel takes are invalid', async () => {
  await expect(run(agent, bash(`true ${'x'.repeat(3_000_000)}`))).rejects.toThrow('[invalid_argument]');
});

test('a file where a directory is needed, and the reverse, are told apart from what is missing', async () => {
  await writeFile(at('file'), '');
  await mkdir(at('directory'));
  expect(await answered(await agent.fetch(files({ path: at('file/x') })))).toEqual(refused(400));
  expect(await answered(await agent.fetch(files({ path: at('file/x') }), { method: 'POST', body: 'x' }))).toEqual(
    refused(400),
  );
  await expect(agent.filesystem.stat({ path: at('file/x') })).rejects.toThrow('[invalid_argument]');
  await expect(agent.filesystem.createWatcher({ path: at('file/x') })).rejects.toThrow('[invalid_argument]');
  await expect(agent.filesystem.move({ source: at('file'), destination: at('directory') })).rejects.toThrow(
    '[invalid_argument]',
  );
  await expect(run(agent, bash('true', { cwd: at('file') }))).rejects.toThrow('[invalid_argument]');
});

test('bodies that are no message are invalid, whatever they are', async () => {
  const bodies = ['{', '[]', '"x"', '{"process":7}', '{"process":{"pid":-1}}', '{"process":{"pid":1.5}}', '\xff\xfe'];
  for (const body of bodies) {
    expect([body, await code(await post('process.Process/SendInput', body))]).toEqual([
      body,
      [400, 'invalid_argument'],
    ]);
  }
  const stdin = '{"process":{"pid":1},"input":{"stdin":"%%% no base64 %%%"}}';
  expect(await code(await post('process.Process/SendInput', stdin))).toEqual([400, 'invalid_argument']);
});

test('a message longer than 32 MiB is refused, also one that only says so', async () => {
  const long = Buffer.alloc(33 * 1024 * 1024, 'x');
  expect(await code(await post('filesystem.Filesystem/Stat', long))).toEqual([429, 'resource_exhausted']);
  const header = Buffer.from([0, 0xff, 0xff, 0xff, 0xf0]);
  const answer = await post('process.Process/Start', header, { 'content-type': 'application/connect+json' });
  const bytes = Buffer.from(await answer.arrayBuffer());
  expect(JSON.parse(bytes.toString('utf8', 5))).toMatchObject({ error: { code: 'resource_exhausted' } });
});

test('methods, verbs and types of content that are not there are answered as such', async () => {
  expect((await post('process.Process/Nothing', '{}')).status).toBe(404);
  expect((await agent.fetch('/process.Process/List')).status).toBe(405);
  expect((await post('process.Process/List', '{}', { 'content-type': 'text/plain' })).status).toBe(415);
  expect(await answered(await agent.fetch('/files', { method: 'PUT' }))).toEqual(refused(404));
});

test('a request whose headers take 1 MB is refused, one with 60 variables of a long address is not', async () => {
  const status = await new Promise((resolve, reject) => {
    const headers = { 'x-access-token': TOKEN, 'x-large': 'x'.repeat(1024 * 1024) };
    const asked = request(`${agent.url}/health`, { headers });
    asked.once('response', (response) => resolve(response.statusCode)).once('error', reject);
    asked.end();
  }).catch((error: NodeJS.ErrnoException) => error.code);
  expect([431, 'ECONNRESET', 'EPIPE']).toContain(status);
  const query = new URLSearchParams(
    Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`k${index}`, 'v'.repeat(100)])),
  );
  expect((await agent.fetch(`/health?${query}`)).status).toBe(204);
});

test('requests that are no HTTP, or no address, end their own connection only', async () => {
  for (const text of [
    'garbage\r\n\r\n',
    'GET // HTTP/1.1\r\nhost: x\r\n\r\n',
    'GET http:/// HTTP/1.1\r\nhost: x\r\n\r\n',
  ]) {
    const socket = connect(agent.address.port, agent.address.host);
    socket.end(text);
    const chunks: Buffer[] = [];
    for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk);
    expect(Buffer.concat(chunks).toString()).toMatch(/^HTTP\/1\.1 4\d\d /);
  }
});

test.each([
  ['as it is', 'application/octet-stream', ''],
  [
    'in a form',
    'multipart/form-data; boundary=s',
    '--s\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n',
  ],
])('an upload %s that its client ends half way leaves nothing behind', async (_name, type, begin) => {
  await mkdir(at('half'), { recursive: true });
  const socket = connect({ port: agent.address.port, host: agent.address.host, allowHalfOpen: true });
  const head = [
    `POST ${files({ path: at('half/f') })} HTTP/1.1`,
    `host: x`,
    `x-access-token: ${TOKEN}`,
    `content-type: ${type}`,
    'content-length: 1000000',
  ];
  socket.write(`${head.join('\r\n')}\r\n\r\n${begin}${'x'.repeat(300_000)}`);
  await expect.poll(() => readdir(at('half'))).toHaveLength(1);
  socket.end();
  await once(socket.resume(), 'close');
  await expect.poll(() => readdir(at('half'))).toEqual([]);
});

test('a signature opens nothing but what it was made for', async () => {
  await writeFile(at('signed'), 'content');
  await writeFile(at('other'), 'other');
  const later = Math.floor(Date.now() / 1000) + 60;
  const signed: SignedRequest = { path: at('signed'), operation: 'read', username: 'root', expiration: later };
  const good = {
    path: signed.path,
    username: 'root',
    signature: sign(signed, TOKEN),
    signature_expiration: String(later),
  };
  const status = async (changed: Record<string, string>, method = 'GET') =>
    (await fetch(agent.url + files({ ...good, ...changed }), { method })).status;
  expect(await status({})).toBe(200);
  expect(await status({}, 'POST')).toBe(401);
  expect(await status({ path: at('other') })).toBe(401);
  expect(await status({ path: `${at('x')}/../signed` })).toBe(401);
  expect(await status({ username: 'nobody' })).toBe(401);
  expect(await status({ username: '' })).toBe(401);
  expect(await status({ signature_expiration: String(later + 1) })).toBe(401);
  expect(await status({ signature_expiration: 'never' })).toBe(401);
  expect(await status({ signature: good.signature.slice(0, -1) })).toBe(401);
  expect(await status({ signature: '' })).toBe(401);
  expect(
    await status({
      signature: sign({ ...signed, expiration: later - 120 }, TOKEN),
      signature_expiration: String(later - 120),
    }),
  ).toBe(401);
  expect(await status({ signature: sign(signed, 'tok-other') })).toBe(401);
});

test('a wrong token opens nothing', async () => {
  const headers = { 'x-access-token': 'wrong' };
  for (const route of ['/metrics', '/envs', files({ path: '/etc/hostname' })]) {
    expect(await answered(await fetch(agent.url + route, { headers }))).toEqual(refused(401));
  }
  expect(await code(await post('process.Process/List', '{}', headers))).toEqual([401, 'unauthenticated']);
  expect(await code(await post('process.Process/List', '{}', { 'x-access-token': '' }))).toEqual([
    401,
    'unauthenticated',
  ]);
});

test('input that reaches no process is told apart', async () => {
  const { processes } = agent;
  await expect(collect(processes.start({}))).rejects.toThrow('[invalid_argument]');
  await expect(processes.sendInput({})).rejects.toThrow('[invalid_argument]');
  const noPid = processes.streamInput(
    (async function* () {
      yield { event: { case: 'start', value: { process: { selector: { case: 'pid', value: 4_000_000 } } } } } as const;
    })(),
  );
  await expect(noPid).rejects.toThrow('[not_found]');
  const quiet = agent.processes.start({ ...bash('sleep 5'), stdin: false })[Symbol.asyncIterator]();
  const start = (await quiet.next()).value?.event?.event;
  const process = { selector: { case: 'pid', value: start?.case === 'start' ? start.value.pid : 0 } } as const;
  const input = { input: { case: 'stdin', value: Buffer.from('x') } } as const;
  await expect(processes.sendInput({ process, input })).rejects.toThrow('[internal]');
  await expect(processes.sendSignal({ process, signal: 0 })).rejects.toThrow('[unimplemented]');
  await expect(processes.update({ process, pty: { size: { cols: 1, rows: 1 } } })).rejects.toThrow('[internal]');
  await processes.sendSignal({ process, signal: 9 });
});
