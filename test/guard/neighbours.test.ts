import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { openGuard } from '../../src/guard/guard.js';
import { Neighbours, SEND } from './neighbours.js';

const UID = 1_900_000_001;
const PORT = 8081;
/** Addresses in IPv6 that lead to IPv4 ones: NAT64, 6to4, Teredo, and without a name of its own. */
const TO_IPV4 = ['64:ff9b::a9fe:a9fe', '64:ff9b:1::1', '2002:a9fe:a9fe::1', '2001:0:1::1', '::ffff:0:7f00:1'];
const METADATA = 'fd00:ec2::254';
const hosts = new Neighbours('own');

beforeAll(async () => {
  await hosts.start();
  const guard = openGuard({
    wanted: async () => ({
      ...{ table: 'dormouse', uids: [UID, UID + 9] as [number, number], qemuUid: UID + 20 },
      ...{ agents: { network: '127.64.0.0/10', port: 49_983 }, resolvers: [], allowPrivate: [], allowSmtp: false },
    }),
    run: hosts.at(1),
  });
  await guard.ensure();
  await hosts.overlay();
  await hosts.addresses([...TO_IPV4, METADATA]);
  await hosts.serve(2, PORT);
});
afterAll(() => hosts.stop());

/** The neighbour's link address has to be found by packets that no user's socket sends. */
test.each([
  ['IPv4 of the private network', '10.9.0.2'],
  ['IPv6', '2001:db8:9::2'],
  ['IPv4 in a VXLAN over the private network', '10.10.0.2'],
  ['IPv6 in that VXLAN', '2001:db8:10::2'],
])('under the guard the host itself still reaches its neighbour by %s', async (_, address) => {
  const send = (): Promise<string> => hosts.at(1)('python3', ['-c', SEND, address]);
  await vi.waitUntil(
    async () => {
      await send().catch(() => undefined);
      return (await hosts.neighbour(address)) === 'REACHABLE';
    },
    { timeout: 15_000, interval: 200 },
  );
  expect(await hosts.neighbour(address)).toBe('REACHABLE');
});

test.each([...TO_IPV4, METADATA])('a guest does not reach %s', async (address) => {
  expect(await hosts.connects(address, PORT, 0)).toBe(true);
  expect(await hosts.connects(address, PORT, UID)).toBe(false);
});

test('a guest reaches a public address of IPv6', async () => {
  expect(await hosts.connects('2001:db8:9::2', PORT, UID)).toBe(true);
});
