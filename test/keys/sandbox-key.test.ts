import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { fileMasterKey } from '../../src/keys/master-key.js';
import {
  diskPassphrase,
  imageKey,
  newSandboxKey,
  unwrapSandboxKey,
  wrapSandboxKey,
} from '../../src/keys/sandbox-key.js';

it('a sandbox has a random key of its own, with different subkeys for disk and image', () => {
  const key = newSandboxKey();
  expect(key.length).toBe(32);
  expect(newSandboxKey()).not.toEqual(key);
  const disk = diskPassphrase(key);
  expect(disk).toMatch(/^[A-Za-z0-9+/]{43}=$/);
  expect(imageKey(key).toString('base64')).not.toBe(disk);
});

it('the subkeys stay what they are, because stored data depends on them', () => {
  const key = Buffer.alloc(32, 7);
  expect([diskPassphrase(key), imageKey(key).toString('hex')]).toMatchInlineSnapshot(`
    [
      "81+f+IzwIsg1WSfUHltFrjQwF43i4X7VsE5Mp8INnKk=",
      "9c4d5bd845b04d5c73df3d11f14e58b35eaa58e57c81af90d6502a4ed2fe59bf",
    ]
  `);
});

it('a wrapped sandbox key opens for its own sandbox only', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'dormouse-keys-'));
  try {
    const { wrapper } = await fileMasterKey(path.join(directory, 'master.key'));
    const key = newSandboxKey();
    const wrapped = await wrapSandboxKey(wrapper, 'a', key);
    expect(await unwrapSandboxKey(wrapper, 'a', wrapped)).toEqual(key);
    await expect(unwrapSandboxKey(wrapper, 'b', wrapped)).rejects.toMatchObject({ code: 'WrappedKeyDamaged' });
    await expect(wrapSandboxKey(wrapper, 'a', Buffer.alloc(16))).rejects.toThrow(/32 bytes/);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
