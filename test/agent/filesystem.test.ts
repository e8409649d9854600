import { afterAll, beforeAll, expect, test } from 'vitest';
import { mkdir, mkdtemp, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { FileType } from '../../src/gen/filesystem/filesystem_pb.js';
import { asRoot, startAgent, type RunningAgent } from './agent-process.js';

let agent: RunningAgent;
beforeAll(async () => {
  agent = await startAgent();
});
afterAll(() => agent.stop());

const at = (name: string): string => `${agent.directory}/${name}`;

test('an entry is described with its type, size, mode, owner and time', async () => {
  await writeFile(at('a.txt'), 'hello', { mode: 0o640 });
  const { entry } = await agent.filesystem.stat({ path: at('a.txt') });
  expect(entry).toMatchObject({ name: 'a.txt', path: at('a.txt'), type: FileType.FILE, size: 5n });
  expect(entry).toMatchObject({ mode: 0o640, permissions: '-rw-r-----', isSymlink: false });
  if (asRoot) expect(entry).toMatchObject({ owner: 'root', group: 'root' });
  const { mtimeMs } = await stat(at('a.txt'));
  expect(Number(entry?.modifiedTime?.seconds)).toBe(Math.floor(mtimeMs / 1000));
  await expect(agent.filesystem.stat({ path: at('missing') })).rejects.toThrow('[not_found]');
});

test('a link has the type of what it leads to, a dangling one its own', async () => {
  await mkdir(at('target'));
  await symlink('target', at('to-directory'));
  await symlink('nowhere', at('dangling'));
  const entry = async (name: string) => (await agent.filesystem.stat({ path: at(name) })).entry;
  expect(await entry('to-directory')).toMatchObject({
    type: FileType.DIRECTORY,
    symlinkTarget: at('target'),
    isSymlink: true,
  });
  expect(await entry('dangling')).toMatchObject({ type: FileType.SYMLINK, symlinkTarget: 'nowhere', isSymlink: true });
});

test('a directory is made with its parents, once', async () => {
  const { entry } = await agent.filesystem.makeDir({ path: at('p/q/r') });
  expect(entry).toMatchObject({ type: FileType.DIRECTORY, path: at('p/q/r'), permissions: 'drwxr-xr-x' });
  await expect(agent.filesystem.makeDir({ path: at('p/q') })).rejects.toThrow('[already_exists]');
  await writeFile(at('p/file'), '');
  await expect(agent.filesystem.makeDir({ path: at('p/file') })).rejects.toThrow('[invalid_argument]');
  await expect(agent.filesystem.makeDir({ path: at('p/file/x') })).rejects.toThrow('[invalid_argument]');
});

test('a directory is listed as deep as asked', async () => {
  await agent.filesystem.makeDir({ path: at('l/one/two/three') });
  await writeFile(at('l/file'), '');
  const names = async (depth: number) =>
    (await agent.filesystem.listDir({ path: at('l'), depth })).entries.map((entry) =>
      entry.path.slice(at('l/').length),
    );
  expect(await names(0)).toEqual(['file', 'one']);
  expect(await names(1)).toEqual(['file', 'one']);
  expect(await names(3)).toEqual(['file', 'one', 'one/two', 'one/two/three']);
  await expect(agent.filesystem.listDir({ path: at('l/file') })).rejects.toThrow('[invalid_argument]');
  await expect(agent.filesystem.listDir({ path: at('l/missing') })).rejects.toThrow('[not_found]');
});

test('a file with a time that no timestamp can say is listed with the nearest one', async (context) => {
  const memory = await mkdtemp('/dev/shm/agent-test-').catch(() => context.skip('there is no /dev/shm'));
  try {
    await writeFile(`${memory}/f`, '');
    await utimes(`${memory}/f`, 1, 300_000_000_000);
    const { entries } = await agent.filesystem.listDir({ path: memory });
    expect(entries.map(({ name, modifiedTime }) => [name, modifiedTime?.seconds])).toEqual([['f', 253_402_300_799n]]);
  } finally {
    await rm(memory, { recursive: true });
  }
});

test('a file moves to where there was no directory, and over what is there', async () => {
  await writeFile(at('from'), 'content');
  const { entry } = await agent.filesystem.move({ source: at('from'), destination: at('moved/here/to') });
  expect(entry).toMatchObject({ name: 'to', path: at('moved/here/to') });
  expect(await readFile(at('moved/here/to'), 'utf8')).toBe('content');
  const missing = agent.filesystem.move({ source: at('from'), destination: at('x/y') });
  await expect(missing).rejects.toThrow('[not_found]');
  await expect(stat(at('x'))).rejects.toThrow('ENOENT');
});

test('whatever is there is removed, nothing there is no error', async () => {
  await agent.filesystem.makeDir({ path: at('gone/a/b') });
  await agent.filesystem.remove({ path: at('gone') });
  await agent.filesystem.remove({ path: at('gone') });
  await expect(stat(at('gone'))).rejects.toThrow('ENOENT');
});

test('paths are of the users home', async () => {
  const { entry } = await agent.filesystem.stat({ path: '~' });
  expect((await agent.filesystem.stat({ path: '' })).entry?.path).toBe(entry?.path);
  expect((await agent.filesystem.stat({ path: '.' })).entry?.path).toBe(entry?.path);
  const headers = { authorization: `Basic ${Buffer.from('no-such-user:').toString('base64')}` };
  await expect(agent.filesystem.stat({ path: '/' }, { headers })).rejects.toThrow('[unauthenticated]');
});

test('a listing that a client no longer waits for ends the process that was making it', async () => {
  const { pid } = agent.child;
  const sides = async () => (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).split(' ').filter(Boolean);
  const client = new AbortController();
  // A file system apart, and deeper than is listed in the meantime.
  const listing = agent.filesystem.listDir({ path: '/proc', depth: 30 }, { signal: client.signal });
  const given = expect(listing).rejects.toThrow('[canceled]');
  await expect.poll(async () => (await sides()).length, { timeout: 20_000 }).toBeGreaterThan(0);
  const made = await sides();
  client.abort();
  await given;
  await expect.poll(async () => (await sides()).filter((side) => made.includes(side)), { timeout: 20_000 }).toEqual([]);
});
