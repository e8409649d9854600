import { afterAll, beforeAll, expect, test } from 'vitest';
import { mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
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
  expect(Math.abs(Number(entry?.modifiedTime?.seconds) - Date.now() / 1000)).toBeLessThan(60);
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
