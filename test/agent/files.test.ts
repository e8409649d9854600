import { afterAll, beforeAll, expect, test } from 'vitest';
import { chmod, mkdir, readFile, readdir, stat, symlink, writeFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { sign } from '../../src/agent/signature.js';
import { asRoot, startAgent, TOKEN, type RunningAgent } from './agent-process.js';
import { bash, run } from './run-command.js';

let agent: RunningAgent;
beforeAll(async () => {
  agent = await startAgent();
});
afterAll(() => agent.stop());

const at = (name: string): string => `${agent.directory}/${name}`;
const query = (values: Record<string, string>): string => `/files?${new URLSearchParams(values)}`;
const octets = (file: string, body: string | Buffer | ReadableStream, headers: Record<string, string> = {}) =>
  agent.fetch(query({ path: file }), {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/octet-stream', ...headers },
    duplex: 'half',
  } as RequestInit);

test('what is uploaded as it is can be downloaded as it is', async () => {
  const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 7) % 256));
  const uploaded = await octets(at('new/dir/a.bin'), bytes);
  expect([uploaded.status, await uploaded.json()]).toEqual([
    200,
    [{ name: 'a.bin', type: 'file', path: at('new/dir/a.bin') }],
  ]);
  const downloaded = await agent.fetch(query({ path: at('new/dir/a.bin') }));
  expect(Buffer.from(await downloaded.arrayBuffer()).equals(bytes)).toBe(true);
  expect(downloaded.headers.get('content-type')).toBe('application/octet-stream');
  expect(downloaded.headers.get('vary')).toBe('Accept-Encoding');
  expect(await readdir(at('new/dir'))).toEqual(['a.bin']);
});

test('a path with a question mark in it is taken whole, escaped or not', async () => {
  await octets(at('what'), 'another file');
  expect((await octets(at('what?'), 'asked')).status).toBe(200);
  for (const mark of ['?', '%3F'])
    expect(await (await agent.fetch(`/files?path=${at('what')}${mark}`)).text()).toBe('asked');
});

test('a compressed body and one of unknown length are taken', async () => {
  await octets(at('zipped'), gzipSync('unzipped'), { 'content-encoding': 'gzip' });
  expect(await readFile(at('zipped'), 'utf8')).toBe('unzipped');
  const stream = Readable.toWeb(Readable.from([Buffer.from('one '), Buffer.from('two')])) as ReadableStream;
  await octets(at('streamed'), stream);
  expect(await readFile(at('streamed'), 'utf8')).toBe('one two');
  expect((await octets(at('zipped'), 'no gzip', { 'content-encoding': 'gzip' })).status).toBe(400);
  expect((await octets(at('zipped'), 'x', { 'content-encoding': 'br' })).status).toBe(400);
  expect(await readFile(at('zipped'), 'utf8')).toBe('unzipped');
});

test('a form brings one file to the path of the query', async () => {
  const form = new FormData();
  form.append('note', 'ignored');
  form.append('file', new Blob(['hällo']), '/elsewhere/ü.txt');
  const answer = await agent.fetch(query({ path: at('ü.txt') }), { method: 'POST', body: form });
  expect([answer.status, await answer.json()]).toEqual([200, [{ name: 'ü.txt', type: 'file', path: at('ü.txt') }]]);
  expect(await readFile(at('ü.txt'), 'utf8')).toBe('hällo');
});

test('a form brings many files to the paths that are their names, each once', async () => {
  const form = new FormData();
  for (const name of ['m/a.txt', 'm/b.txt']) form.append('file', new Blob([name.repeat(50_000)]), at(name));
  const answer = await agent.fetch('/files', { method: 'POST', body: form });
  const entries = (await answer.json()) as { path: string }[];
  expect(entries.map((entry) => entry.path)).toEqual([at('m/a.txt'), at('m/b.txt')]);
  expect((await stat(at('m/b.txt'))).size).toBe(350_000);
  form.append('file', new Blob(['again']), at('m/a.txt'));
  expect((await agent.fetch('/files', { method: 'POST', body: form })).status).toBe(400);
  const none = new FormData();
  none.append('note', 'x');
  expect((await agent.fetch('/files', { method: 'POST', body: none })).status).toBe(400);
});

test('a part without a file name goes to the path of the query, byte by byte, and nowhere without one', async () => {
  const form = new FormData();
  form.append('note', 'ignored');
  form.append('file', 'hällo');
  const answer = await agent.fetch(query({ path: at('nameless') }), { method: 'POST', body: form });
  expect([answer.status, await answer.json()]).toEqual([
    200,
    [{ name: 'nameless', type: 'file', path: at('nameless') }],
  ]);
  expect(await readFile(at('nameless'), 'utf8')).toBe('hällo');
  const bytes = Buffer.from(Array.from({ length: 3_000_000 }, (_, index) => (index * 7) % 251));
  const part = (content: Buffer): Buffer[] => [
    Buffer.from(
      '--b\r\nContent-Disposition: form-data; name="file"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n',
    ),
    content,
    Buffer.from('\r\n'),
  ];
  const upload = (values: Record<string, string>, parts: Buffer[]) =>
    agent.fetch(query(values), {
      method: 'POST',
      body: Buffer.concat([...parts, Buffer.from('--b--\r\n')]),
      headers: { 'content-type': 'multipart/form-data; boundary=b' },
    });
  expect((await upload({ path: at('large') }, part(bytes))).status).toBe(200);
  expect((await readFile(at('large'))).equals(bytes)).toBe(true);
  const short = part(Buffer.from('short'));
  const refused = await upload({}, short);
  expect([refused.status, await refused.json()]).toEqual([
    400,
    { code: 400, message: expect.stringContaining('path') },
  ]);
  expect((await upload({ path: at('twice') }, [...short, ...short])).status).toBe(400);
});

test('a directory, a missing file and a missing path are errors with a code', async () => {
  const status = async (answer: Response) => [answer.status, ((await answer.json()) as { code: number }).code];
  expect(await status(await agent.fetch(query({ path: at('') })))).toEqual([400, 400]);
  expect(await status(await agent.fetch(query({ path: at('missing') })))).toEqual([404, 404]);
  expect(await status(await agent.fetch('/files'))).toEqual([400, 400]);
  expect(await status(await octets(at(''), 'x'))).toEqual([400, 400]);
  expect(await status(await agent.fetch(query({ path: at('a'), username: 'nobody-there' })))).toEqual([401, 401]);
});

test('files of /proc, which say that they are empty, and empty ones are read to their end', async () => {
  const read = async (path: string) => (await agent.fetch(query({ path }))).text();
  expect(await read('/proc/version')).toBe(await readFile('/proc/version', 'utf8'));
  await writeFile(at('empty'), '');
  expect(await read(at('empty'))).toBe('');
});

test('a signature replaces the token, a wrong token is not replaced by it', async () => {
  await writeFile(at('signed'), 'content');
  const signed = (operation: 'read' | 'write', expiration: number) => {
    const signature = sign({ path: at('signed'), operation, username: '', expiration }, TOKEN);
    return `${agent.url}${query({ path: at('signed'), signature, signature_expiration: String(expiration) })}`;
  };
  const later = Math.floor(Date.now() / 1000) + 60;
  expect(await (await fetch(signed('read', later))).text()).toBe('content');
  expect((await fetch(signed('write', later), { method: 'POST', body: 'new' })).status).toBe(200);
  expect(await readFile(at('signed'), 'utf8')).toBe('new');
  expect((await fetch(signed('write', later))).status).toBe(401);
  expect((await fetch(signed('read', later - 120))).status).toBe(401);
  expect((await fetch(signed('read', later), { headers: { 'x-access-token': 'wrong' } })).status).toBe(401);
  expect((await fetch(`${agent.url}${query({ path: at('signed') })}`)).status).toBe(401);
});

test('an upload keeps the mode of what it replaces, goes through links, and writes to devices', async () => {
  await writeFile(at('script'), 'old');
  await chmod(at('script'), 0o755);
  await symlink(at('script'), at('link'));
  expect((await octets(at('link'), 'new')).status).toBe(200);
  expect([await readFile(at('script'), 'utf8'), (await stat(at('script'))).mode & 0o777]).toEqual(['new', 0o755]);
  expect((await octets('/dev/null', 'x')).status).toBe(200);
  expect((await stat('/dev/null')).isCharacterDevice()).toBe(true);
});

test('files and the directories made for them belong to the user', async (context) => {
  context.skip(!asRoot, 'needs root');
  const answer = await agent.fetch(query({ path: at('owned/by/nobody'), username: 'nobody' }), {
    method: 'POST',
    body: 'x',
  });
  expect(answer.status).toBe(200);
  const owners = await Promise.all(
    ['owned', 'owned/by', 'owned/by/nobody'].map(async (name) => (await stat(at(name))).uid),
  );
  expect(owners).toEqual([65_534, 65_534, 65_534]);
});

test('a full disk is told as such and leaves what was there', async (context) => {
  context.skip(!asRoot, 'needs root');
  const disk = at('disk');
  const mounted = await run(
    agent,
    bash(`mkdir ${disk} && mount -t tmpfs -o size=64k none ${disk} && echo old > ${disk}/f`),
  );
  if (mounted.end?.exitCode !== 0) return;
  try {
    const form = new FormData();
    form.append('file', new Blob(['x'.repeat(3_000_000)]), `${disk}/f`);
    const answers = [
      await octets(`${disk}/f`, 'x'.repeat(3_000_000)),
      await agent.fetch('/files', { method: 'POST', body: form }),
    ];
    for (const answer of answers) expect([answer.status, await answer.json()]).toMatchObject([507, { code: 507 }]);
    expect([await readdir(disk), await readFile(`${disk}/f`, 'utf8')]).toEqual([['f'], 'old\n']);
  } finally {
    await run(agent, bash(`umount ${disk}`));
  }
});

test('a client that goes away in the middle leaves nothing behind', async () => {
  await mkdir(at('gone'));
  const gone = new AbortController();
  const body = new ReadableStream({
    pull: (controller) => {
      controller.enqueue(new Uint8Array(1000));
      return new Promise((resolve) => setTimeout(resolve, 20));
    },
  });
  const upload = agent.fetch(query({ path: at('gone/f') }), {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/octet-stream' },
    signal: gone.signal,
    duplex: 'half',
  } as RequestInit);
  const broken = expect(upload).rejects.toThrow();
  await expect.poll(() => readdir(at('gone'))).toHaveLength(1);
  gone.abort();
  await broken;
  await expect.poll(() => readdir(at('gone'))).toEqual([]);
});
