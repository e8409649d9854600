import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { lchown, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { unixSlotUsers, usersOfProcesses } from '../../src/host/slot-users.js';
import { SlotClaims } from '../../src/host/slot-claims.js';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'slots-'));
  for (const name of ['a', 'b']) await mkdir(path.join(root, name));
});
afterEach(() => rm(root, { recursive: true }));

const claimsOf = (name: string, count = 8): SlotClaims =>
  new SlotClaims({ directory: path.join(root, 'slots'), stateDir: path.join(root, name), count });

describe('two host workers on one machine', () => {
  test('never give out the same slot, however many claim at once', async () => {
    const [a, b] = [claimsOf('a', 64), claimsOf('b', 64)];
    const claimed = await Promise.all(Array.from({ length: 64 }, (_, n) => (n % 2 === 0 ? a : b).claim(`s${n}`)));
    expect(new Set(claimed).size).toBe(64);
    expect(await a.claim('late')).toBeUndefined();
    await b.release(5);
    expect(await a.claim('late')).toBe(5);
    expect((await readdir(path.join(root, 'slots'))).filter((name) => name.startsWith('draft'))).toEqual([]);
  });

  test('at its start each gives back what none of its own sandboxes holds, and nothing of the other', async () => {
    const [a, b] = [claimsOf('a'), claimsOf('b')];
    expect([await a.claim('a0'), await b.claim('b1'), await a.claim('a2')]).toEqual([0, 1, 2]);
    await claimsOf('a').sweep(new Set([0]));
    expect(await readdir(path.join(root, 'slots'))).toEqual(['0', '1']);
  });

  test('no other process can keep it from that by a name of its own', async () => {
    const a = claimsOf('a');
    expect([await a.claim('a0'), await a.claim('a1')]).toEqual([0, 1]);
    const squatter = createServer().listen(`\0dormouse-slots-${path.join(root, 'slots')}`);
    await once(squatter, 'listening');
    await claimsOf('a').sweep(new Set([0]));
    expect(await readdir(path.join(root, 'slots'))).toEqual(['0']);
    squatter.close();
  });

  test('what a sandbox claimed whose manifest cannot be read stays its own', async () => {
    const a = claimsOf('a');
    expect([await a.claim('unreadable'), await a.claim('gone')]).toEqual([0, 1]);
    await claimsOf('a').sweep(new Set(), (sandbox) => sandbox === 'unreadable');
    expect(await readdir(path.join(root, 'slots'))).toEqual(['0']);
  });

  test('what was claimed before a reboot, or for a state directory that is gone, is free again', async () => {
    const [a, b] = [claimsOf('a'), claimsOf('b')];
    expect([await a.claim('a0'), await b.claim('b1')]).toEqual([0, 1]);
    const file = path.join(root, 'slots', '0');
    await writeFile(file, (await readFile(file, 'utf8')).replace(/"bootId":"[^"]*"/, '"bootId":"another"'));
    await rm(path.join(root, 'b'), { recursive: true });
    await a.sweep(new Set([0]));
    expect(await readdir(path.join(root, 'slots'))).toEqual([]);
  });
});

describe('a slot that is given back', () => {
  const slots = (users: { clear: boolean; inUse?: number[] }, count = 3): SlotClaims =>
    new SlotClaims({
      ...{ directory: path.join(root, 'slots'), stateDir: path.join(root, 'a'), count },
      users: {
        clear: () => Promise.resolve(users.clear),
        inUse: () => Promise.resolve(new Set(users.inUse ?? [])),
      },
    });

  test('rests until all others have had their turn', async () => {
    const claims = slots({ clear: true });
    expect(await claims.claim('one')).toBe(0);
    await claims.release(0);
    expect([await claims.claim('two'), await claims.claim('three'), await claims.claim('four')]).toEqual([1, 2, 0]);
  });

  test('while its user has a process stays taken until that is gone, for every host worker of the machine', async () => {
    const users = { clear: false };
    const claims = slots(users, 1);
    expect(await claims.claim('one')).toBe(0);
    await claims.release(0);
    expect([await claims.claim('two'), await claimsOf('b', 1).claim('two')]).toEqual([undefined, undefined]);
    users.clear = true;
    expect(await claims.claim('two')).toBe(0);
  });

  test('is not given though nobody has claimed it, when its user has a process at the start', async () => {
    const users = { clear: true, inUse: [0] };
    const claims = slots(users, 1);
    await claims.sweep(new Set());
    expect(await claims.claim('one')).toBeUndefined();
    users.inUse = [];
    expect(await claims.claim('one')).toBe(0);
  });
});

describe.runIf(process.getuid?.() === 0)('the unix user of a slot', () => {
  const uidBase = 2_000_000_000 + process.pid;
  let left: ChildProcess;
  afterEach(() => void left.kill('SIGKILL'));

  test('is cleared of every process and of what it left where all such users may write', async () => {
    const directory = path.join(root, 'passt');
    await mkdir(directory);
    const users = unixSlotUsers({ uidBase, gid: 65_534, count: 2, leftIn: [directory] });
    // As one that took over QEMU may: it hides behind a process group of its own, and its children go on forking.
    const script = '(while :; do sleep 1; done) & sleep 1000';
    left = spawn('setpriv', [
      ...[`--reuid=${uidBase + 1}`, '--regid=65534', '--clear-groups', 'setsid', 'sh', '-c', script],
    ]);
    await symlink('/etc/passwd', path.join(directory, 'planted'));
    await lchown(path.join(directory, 'planted'), uidBase + 1, 65_534);
    await writeFile(path.join(directory, 'of-another'), '');
    await expect.poll(async () => [...(await users.inUse())]).toEqual([1]);
    expect(await users.clear(1)).toBe(true);
    expect((await usersOfProcesses()).has(uidBase + 1)).toBe(false);
    expect(await readdir(directory)).toEqual(['of-another']);
  });
});
