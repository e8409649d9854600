import { execFileSync } from 'node:child_process';
import { lstat, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Identity } from '../../src/agent/identity.js';
import { machineIdOf } from '../../src/keys/machine-id.js';

const KEY = Buffer.alloc(32, 3);
const FILES: Record<string, string> = {
  'etc/machine-id': `${'e'.repeat(32)}\n`,
  'etc/hostname': 'sandbox\n',
  'etc/hosts': '127.0.0.1 localhost sandbox\n::1 localhost ip6-localhost\n',
  'var/lib/dbus/machine-id': `${'e'.repeat(32)}\n`,
  'var/lib/systemd/random-seed': 'the seed of the template',
  'proc/sys/kernel/hostname': 'sandbox\n',
};

/** The root directories of two guests, clones of one template. */
let roots: [string, string];
beforeEach(async () => {
  roots = [await clone(), await clone()];
});
afterEach(async () => {
  for (const root of roots) await rm(root, { recursive: true });
});

async function clone(): Promise<string> {
  const root = await mkdtemp(path.join(tmpdir(), 'guest-'));
  for (const [name, content] of Object.entries(FILES)) {
    await mkdir(path.dirname(path.join(root, name)), { recursive: true });
    await writeFile(path.join(root, name), content);
  }
  return root;
}

const read = (root: string, name: string): Promise<string> => readFile(path.join(root, name), 'latin1');

test('two clones differ in everything that says who they are', async () => {
  for (const [at, root] of roots.entries()) new Identity(root).adopt(machineIdOf(KEY, `i${at}`));
  for (const [name, before] of Object.entries(FILES)) {
    const [one, other] = await Promise.all(roots.map((root) => read(root, name)));
    expect([name, one === other, one === before]).toEqual([name, false, false]);
  }
  const [root] = roots;
  expect(await read(root, 'etc/machine-id')).toBe(`${machineIdOf(KEY, 'i0')}\n`);
  const name = (await read(root, 'etc/hostname')).trim();
  expect(await read(root, 'etc/hosts')).toContain(`127.0.1.1 ${name}\n`);
  expect(await read(root, 'etc/hosts')).toContain('127.0.0.1 localhost sandbox\n');
});

test('what a guest has adopted is not touched again, so that its users may change it', async () => {
  const [root] = roots;
  const id = machineIdOf(KEY, 'i');
  new Identity(root).adopt(id);
  await writeFile(path.join(root, 'etc/hostname'), 'mine\n');
  new Identity(root).adopt(id);
  expect(await read(root, 'etc/hostname')).toBe('mine\n');
});

test('another identity replaces the name among the hosts', async () => {
  const [root] = roots;
  for (const id of ['a', 'b']) new Identity(root).adopt(machineIdOf(KEY, id));
  expect((await read(root, 'etc/hosts')).match(/127\.0\.1\.1/g)).toHaveLength(1);
});

test('a link to the other machine id stays one, and what is not there is not made', async () => {
  const [root] = roots;
  const dbus = path.join(root, 'var/lib/dbus/machine-id');
  await rm(dbus);
  await symlink('/etc/machine-id', dbus);
  await rm(path.join(root, 'var/lib/systemd/random-seed'));
  new Identity(root).adopt(machineIdOf(KEY, 'i'));
  expect((await lstat(dbus)).isSymbolicLink()).toBe(true);
  await expect(read(root, 'var/lib/systemd/random-seed')).rejects.toThrow(/ENOENT/);
});

test('the machine id of a sandbox is always the same, another’s is another, and neither is told by the sandbox id', () => {
  expect(machineIdOf(KEY, 'i')).toMatch(/^[0-9a-f]{32}$/);
  expect(machineIdOf(KEY, 'i')).toBe(machineIdOf(KEY, 'i'));
  expect(new Set([machineIdOf(KEY, 'i'), machineIdOf(KEY, 'j'), machineIdOf(Buffer.alloc(32, 4), 'i')]).size).toBe(3);
});

test('a pipe that the guest has put in the way of a file holds nothing up', async () => {
  const [root] = roots;
  execFileSync('mkfifo', [path.join(root, 'etc/machine-id.dormouse')]);
  new Identity(root).adopt(machineIdOf(KEY, 'i1'));
  expect(await read(root, 'etc/machine-id')).toBe(`${machineIdOf(KEY, 'i1')}\n`);
});
