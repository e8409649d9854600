import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { openGuard } from '../../src/guard/guard.js';
import type { GuardRules } from '../../src/guard/rules.js';
import { FarEnd } from './far-end.js';

const run = promisify(execFile);
const TABLE = `dormouse_test_${process.pid}`;
const UID = 1_900_000_001;
const rules: GuardRules = {
  table: TABLE,
  uids: [UID, UID + 9],
  qemuUid: UID + 20,
  agents: { network: '127.64.0.0/10', port: 8090 },
  resolvers: ['10.77.0.1'],
  allowPrivate: ['10.88.0.0/24'],
  allowSmtp: false,
};
let wanted = rules;
const guard = openGuard({ wanted: async () => wanted });

const far = new FarEnd();

beforeAll(async () => {
  await far.start(8077);
  await guard.ensure();
  for (const address of ['198.51.100.1', '127.0.0.1']) {
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
  test.each(['127.0.0.1', '::1', '127.64.0.9', '198.51.100.2', '2001:db8:77::2'])(
    "cannot reach the host's own %s",
    async (address) => {
      expect(await connects(address, 8077, 0)).toBe(true);
      expect(await connects(address, 8077, UID)).toBe(false);
    },
  );

  test.each([
    ...['169.254.169.254', '192.168.77.1', 'fd77::2'],
    ...['168.63.129.16', '192.0.0.192', '100.100.100.200'],
  ])('cannot reach %s', async (address) => {
    expect(await connects(address, 8077, 0)).toBe(true);
    expect(await connects(address, 8077, UID)).toBe(false);
  });

  test.each(['198.51.100.1', '10.88.0.1'])('reaches %s', async (address) => {
    expect(await connects(address, 8077, UID)).toBe(true);
  });

  test("reaches the host's resolver on port 53 only", async () => {
    expect(await connects('10.77.0.1', 53, UID)).toBe(true);
    expect(await connects('10.77.0.1', 8077, UID)).toBe(false);
  });

  test('reaches no mail server on port 25', async () => {
    expect(await connects('198.51.100.1', 25, 0)).toBe(true);
    expect(await connects('198.51.100.1', 25, UID)).toBe(false);
  });

  test('reaches nothing at all when it has no internet, and its neighbours still do', async () => {
    await guard.setInternet(UID, false);
    expect(await connects('198.51.100.1', 8077, UID)).toBe(false);
    expect(await connects('10.77.0.1', 53, UID)).toBe(false);
    expect(await connects('198.51.100.1', 8077, UID + 1)).toBe(true);
    await guard.ensure();
    expect(await connects('198.51.100.1', 8077, UID)).toBe(false);
    await guard.setInternet(UID, true);
    await guard.setInternet(UID, true);
    await guard.setInternet(UID, false);
    await guard.forget(UID);
    await guard.forget(UID);
    expect(await connects('198.51.100.1', 8077, UID)).toBe(true);
  });

  test('leaves every other user of the host alone', async () => {
    expect(await connects('127.0.0.1', 8077, 1_900_000_100)).toBe(true);
  });
});

describe('what somebody does to the rules', () => {
  const handleOf = async (rule: RegExp): Promise<string> => {
    const { stdout } = await run('nft', ['-a', 'list', 'chain', 'inet', TABLE, 'guests']);
    return new RegExp(`${rule.source}.* # handle (\\d+)`).exec(stdout)![1]!;
  };
  const guests = ['inet', TABLE, 'guests'];

  test.each<[string, () => Promise<unknown>]>([
    ['the table is removed', () => guard.remove()],
    [
      'a rule is removed',
      async () => run('nft', ['delete', 'rule', ...guests, 'handle', await handleOf(/oifname "lo"/)]),
    ],
    [
      'a rule is replaced by another',
      async () => run('nft', ['replace', 'rule', ...guests, 'handle', await handleOf(/oifname "lo"/), 'accept']),
    ],
    ['a rule is put before the others', () => run('nft', ['insert', 'rule', ...guests, 'accept'])],
    ['who has no internet is forgotten', () => run('nft', ['flush', 'set', 'inet', TABLE, 'no_internet'])],
  ])('%s: it is noticed, and put right in whole', async (_, damage) => {
    await guard.setInternet(UID + 1, false);
    expect(await guard.ensure()).toBeUndefined();
    await guard.check();
    await damage();
    await expect(guard.check()).rejects.toThrow(/network guard/);
    let open = false;
    expect(await guard.ensure(() => (open = true))).toContain('network guard');
    expect(open).toBe(true);
    await guard.check();
    expect(await connects('127.0.0.1', 8077, UID)).toBe(false);
    expect(await connects('198.51.100.1', 8077, UID)).toBe(true);
    expect(await connects('198.51.100.1', 8077, UID + 1)).toBe(false);
    await guard.forget(UID + 1);
  });

  test('no guest is started without the rules: they are put in place before', async () => {
    await guard.remove();
    await guard.forget(UID);
    await guard.setInternet(UID, true);
    await guard.check();
  });

  test('a host worker that starts again knows from its manifests who has no internet', async () => {
    await guard.remove();
    await openGuard({ wanted: async () => rules, noInternet: [UID + 2] }).ensure();
    expect(await connects('198.51.100.1', 8077, UID + 2)).toBe(false);
    expect(await connects('198.51.100.1', 8077, UID)).toBe(true);
    await run('nft', ['flush', 'set', 'inet', TABLE, 'no_internet']);
    await guard.ensure();
  });
});

test("the rules follow the host's resolvers, and the guests do not notice otherwise", async () => {
  await guard.setInternet(UID + 1, false);
  wanted = { ...rules, resolvers: ['192.168.77.1'] };
  let open = false;
  expect(await guard.ensure(() => (open = true))).toContain('not as it should be');
  expect(open).toBe(false);
  expect(await connects('192.168.77.1', 53, UID)).toBe(true);
  expect(await connects('10.77.0.1', 53, UID)).toBe(false);
  expect(await connects('192.168.77.1', 53, UID + 1)).toBe(false);
  wanted = rules;
  await guard.ensure();
  await guard.forget(UID + 1);
});

test('a connection that was opened while there were no rules carries nothing once they are back', async () => {
  await guard.remove();
  const program = `
import socket, sys
c = socket.create_connection(("198.51.100.2", 8079), 5)
print("open", flush=True)
sys.stdin.readline()
c.sendall(b"after")
c.settimeout(2)
c.recv(1)
`;
  const received: string[] = [];
  const server = createServer((socket) => {
    socket.on('data', (data) => received.push(String(data)));
    socket.on('error', () => undefined);
  }).listen(8079, '0.0.0.0');
  await once(server, 'listening');
  const user = ['--reuid', String(UID), '--regid', String(UID), '--clear-groups'];
  const client = execFile('setpriv', [...user, '/usr/bin/python3', '-c', program]);
  const ended = once(client, 'exit');
  await once(client.stdout!, 'data');
  await guard.ensure();
  client.stdin!.write('\n');
  await ended;
  expect(received).toEqual([]);
  server.close();
});

test("the host's connections to an agent go on while the rules are put in place anew", async () => {
  const user = ['--reuid', String(UID), '--regid', String(UID), '--clear-groups'];
  const echo = `
import socket
s = socket.create_server(("127.64.0.9", 8090))
print("listening", flush=True)
c, _ = s.accept()
while True:
    data = c.recv(100)
    if not data: break
    c.sendall(data)
`;
  const passt = execFile('setpriv', [...user, '/usr/bin/python3', '-c', echo]);
  await once(passt.stdout!, 'data');
  const socket = connect({ host: '127.64.0.9', port: 8090 });
  await once(socket, 'connect');
  for (const word of ['one', 'two']) {
    socket.write(word);
    expect(String((await once(socket, 'data'))[0])).toBe(word);
    await guard.remove();
    await guard.ensure();
  }
  socket.destroy();
  passt.kill();
});
