import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
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
