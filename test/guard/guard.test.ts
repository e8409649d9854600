import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { openGuard } from '../../src/guard/guard.js';
import { guardRules } from '../../src/guard/rules.js';
import { FarEnd } from './far-end.js';

const run = promisify(execFile);
const TABLE = `dormouse_test_${process.pid}`;
const UID = 1_900_000_001;
const guard = openGuard({
  ...{
    table: TABLE,
    uids: [UID, UID + 9],
    qemuUid: UID + 20,
    resolvers: ['10.77.0.1'],
    allowPrivate: ['10.88.0.0/24'],
  },
});

const far = new FarEnd();

beforeAll(async () => {
  await far.start(8077);
  await guard.install();
  for (const address of ['203.0.113.1', '127.0.0.1']) {
    await vi.waitUntil(() => connects(address, 8077, 0), { timeout: 10_000, interval: 100 });
  }
}, 60_000);

afterAll(async () => {
  await guard.remove().catch(() => undefined);
  await far.stop();
});

async function connects(host: string, port: number, uid: number): Promise<boolean> {
  const program = `import socket; socket.create_connection(("${host}", ${port}), 2).close()`;
  const command = ['--reuid', String(uid), '--regid', String(uid), '--clear-groups', '/usr/bin/python3', '-c', program];
  return run('setpriv', command).then(
    () => true,
    () => false,
  );
}

describe('a guest, by the unix user of its passt,', () => {
  test.each(['127.0.0.1', '::1', '127.64.0.9', '203.0.113.2', '2001:db8:77::2'])(
    "cannot reach the host's own %s",
    async (address) => {
      expect(await connects(address, 8077, 0)).toBe(true);
      expect(await connects(address, 8077, UID)).toBe(false);
    },
  );

  test.each(['169.254.169.254', '192.168.77.1', 'fd77::2'])('cannot reach %s', async (address) => {
    expect(await connects(address, 8077, 0)).toBe(true);
    expect(await connects(address, 8077, UID)).toBe(false);
  });

  test.each(['203.0.113.1', '10.88.0.1'])('reaches %s', async (address) => {
    expect(await connects(address, 8077, UID)).toBe(true);
  });

  test("reaches the host's resolver on port 53 only", async () => {
    expect(await connects('10.77.0.1', 53, UID)).toBe(true);
    expect(await connects('10.77.0.1', 8077, UID)).toBe(false);
  });

  test('reaches nothing at all when it has no internet, and its neighbours still do', async () => {
    await guard.setInternet(UID, false);
    expect(await connects('203.0.113.1', 8077, UID)).toBe(false);
    expect(await connects('10.77.0.1', 53, UID)).toBe(false);
    expect(await connects('203.0.113.1', 8077, UID + 1)).toBe(true);
    await guard.install();
    expect(await connects('203.0.113.1', 8077, UID)).toBe(false);
    await guard.setInternet(UID, true);
    await guard.setInternet(UID, true);
    await guard.setInternet(UID, false);
    await guard.forget(UID);
    await guard.forget(UID);
    expect(await connects('203.0.113.1', 8077, UID)).toBe(true);
  });

  test('leaves every other user of the host alone', async () => {
    expect(await connects('127.0.0.1', 8077, 1_900_000_100)).toBe(true);
  });
});

describe('the check before a guest starts', () => {
  test('passes while the rules are in place, and fails when one is gone or the table is', async () => {
    await guard.check();
    const { stdout } = await run('nft', ['-a', 'list', 'chain', 'inet', TABLE, 'guests']);
    const handle = /oifname "lo" reject # handle (\d+)/.exec(stdout)![1]!;
    await run('nft', ['delete', 'rule', 'inet', TABLE, 'guests', 'handle', handle]);
    await expect(guard.check()).rejects.toThrow(/not as it should be/);
    await expect(guard.setInternet(UID, true)).rejects.toThrow(/not as it should be/);
    await guard.remove();
    await expect(guard.check()).rejects.toThrow(/is not there/);
    await guard.forget(UID);
    await guard.install();
    await guard.check();
  });

  test('fails when the configuration has changed since the rules were installed', async () => {
    const other = openGuard({ table: TABLE, uids: [UID, UID + 9], qemuUid: UID + 20, resolvers: [], allowPrivate: [] });
    expect(
      guardRules({ table: TABLE, uids: [UID, UID], qemuUid: 1, resolvers: [], allowPrivate: [] }).length,
    ).toBeGreaterThan(5);
    await expect(other.check()).rejects.toThrow(/not as it should be/);
  });
});
