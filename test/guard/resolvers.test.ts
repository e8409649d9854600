import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { followResolvers } from '../../src/setup/guard-rules.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'resolvers-'));
});
afterEach(() => rm(directory, { recursive: true }));

test("the rules name the resolvers that the host's file has at the moment, and forget none while there is no file", async () => {
  const file = path.join(directory, 'resolv.conf');
  const config = { uidBase: 1_000_000, uidCount: 10, allowPrivateNetworks: [], allowSmtp: false };
  const rules = followResolvers(config, 5, file);
  await writeFile(
    file,
    '# by DHCP\nnameserver 10.0.0.2\nnameserver fe80::1%eth0\nnameserver 10.0.0.2\nsearch example\n',
  );
  expect((await rules()).resolvers).toEqual(['10.0.0.2', 'fe80::1']);
  await writeFile(file, 'nameserver 192.168.1.1\n');
  expect((await rules()).resolvers).toEqual(['192.168.1.1']);
  await rm(file);
  expect((await rules()).resolvers).toEqual(['192.168.1.1']);
});
