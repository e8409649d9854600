import { networkInterfaces } from 'node:os';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest';
import { slotAddress } from '../../src/host/slots.js';
import { FarEnd } from '../guard/far-end.js';
import { ApiClient } from './api-client.js';
import { clientOf } from './client-of.js';
import type { RunningService } from './running-service.js';

const PORT = 8078;
const AGENT_PORT = 49_983;
const GUARD_TABLE = 'dormouse';

let service: RunningService;
let api: ApiClient;
const far = new FarEnd();
let open: string;
let shut: string;
beforeAll(async () => {
  service = inject('service') as RunningService;
  api = new ApiClient(service);
  await far.start(PORT);
  open = await api.create();
  shut = await api.create({ allow_internet_access: false });
}, 180_000);
afterAll(async () => {
  for (const id of [open, shut]) if (id !== undefined) await api.call('DELETE', `/sandboxes/${id}`);
  await far.stop();
});

/** Runs a shell command as root in a guest. @returns what it printed */
async function inGuest(id: string, command: string): Promise<string> {
  const client = await clientOf(service, id);
  return (await client.commands.run(command, { user: 'root', timeoutMs: 100_000 })).stdout.trim();
}

/** Which of these (`host port`) a program in the guest can open a TCP connection to. */
async function reached(id: string, targets: (readonly [string, number])[]): Promise<string[]> {
  const program = `
import json, socket, threading
reached = []
def attempt(host, port):
    try:
        socket.create_connection((host, port), 5).close()
        reached.append(host)
    except OSError:
        pass
threads = [threading.Thread(target=attempt, args=t) for t in json.loads('${JSON.stringify(targets)}')]
for t in threads: t.start()
for t in threads: t.join()
print(json.dumps(sorted(reached)))
`;
  return JSON.parse(await inGuest(id, `python3 -c "${program.replaceAll('"', '\\"')}"`)) as string[];
}

const nft = async (...args: string[]): Promise<string> => (await execa('nft', args)).stdout;

/** Every address of this host that is not its loopback. */
const ownAddresses = (): string[] =>
  Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith('fe80'))
    .map(({ address }) => address);

async function gateways(id: string): Promise<string[]> {
  const routes = await inGuest(id, 'ip -4 route show default; ip -6 route show default');
  return [...routes.matchAll(/via (\S+)/g)].map((match) => match[1]!);
}

async function agentAddress(id: string): Promise<string> {
  const file = path.join(service.config.stateDir, 'sandboxes', id, 'manifest.json');
  return slotAddress((JSON.parse(await readFile(file, 'utf8')) as { slot: number }).slot);
}

test('two guests of one template differ in what says who they are', async () => {
  const what = [
    'cat /etc/machine-id',
    'hostname',
    'sudo -u user sudo hostname',
    'sha256sum /var/lib/systemd/random-seed',
  ];
  const [one, other] = (await Promise.all([open, shut].map((id) => inGuest(id, what.join('; '))))).map((text) =>
    text.split('\n'),
  );
  expect(one).toHaveLength(what.length);
  for (const [at, line] of one!.entries()) expect(line).not.toBe(other![at]);
  expect(one![2]).toBe(one![1]);
});

describe('from inside a guest', () => {
  test('a public address is reachable, and it is the guard that keeps the others out of reach', async () => {
    expect(await reached(open, [['198.51.100.1', PORT]])).toEqual(['198.51.100.1']);
  });

  test("the host's loopback is not reachable by the gateway's address, which leads there", async () => {
    const addresses = await gateways(open);
    expect(addresses.length).toBeGreaterThan(0);
    const { apiPort, temporal } = service.config;
    const targets = addresses.flatMap((address) =>
      [PORT, apiPort, temporal.port].map((port) => [address, port] as const),
    );
    expect(await reached(open, targets)).toEqual([]);
  });

  test("none of the host's own addresses is reachable", async () => {
    const addresses = ownAddresses();
    expect(addresses).toEqual(expect.arrayContaining(['198.51.100.2', '2001:db8:77::2']));
    expect(
      await reached(
        open,
        addresses.map((address) => [address, PORT] as const),
      ),
    ).toEqual([]);
  });

  test('private ranges, link-local addresses and the metadata of clouds are not reachable', async () => {
    const addresses = ['192.168.77.1', '10.88.0.1', '10.77.0.1', '169.254.169.254', 'fd77::1'];
    expect(
      await reached(
        open,
        addresses.map((address) => [address, PORT] as const),
      ),
    ).toEqual([]);
  });

  test("another sandbox's agent is not reachable, even for a guest that sends its loopback addresses to the network", async () => {
    const other = await agentAddress(shut);
    // Positive control: the agent does answer there, to the host.
    expect((await fetch(`http://${other}:${AGENT_PORT}/health`)).ok).toBe(true);
    const spare = await api.create();
    const [gateway] = await gateways(spare);
    const device = await inGuest(spare, "ip -4 route show default | grep -o 'dev [^ ]*' | cut -d' ' -f2");
    await inGuest(
      spare,
      [
        `echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet`,
        `ip rule add to ${other}/32 lookup 100 priority 0`,
        `ip route add ${other}/32 via ${gateway} dev ${device} table 100`,
        // Before the table of local addresses, which takes all of 127.0.0.0/8 otherwise.
        `ip rule add lookup local priority 10 && ip rule del lookup local priority 0`,
      ].join('\n'),
    );
    expect(await inGuest(spare, `ip route get ${other}`)).toContain(gateway);
    expect(await reached(spare, [[other, AGENT_PORT]])).toEqual([]);
    await api.call('DELETE', `/sandboxes/${spare}`);
  });

  test('nothing is reachable without internet access, and the agent still is', async () => {
    const addresses = ['198.51.100.1', '10.88.0.1', '198.51.100.2', ...(await gateways(shut))];
    expect(
      await reached(
        shut,
        addresses.map((address) => [address, PORT] as const),
      ),
    ).toEqual([]);
    expect(await inGuest(shut, 'echo there')).toBe('there');
  });

  test('a sandbox without internet access has none after a pause either', async () => {
    expect((await api.call('POST', `/sandboxes/${shut}/pause`)).status).toBe(204);
    expect((await api.call('POST', `/sandboxes/${shut}/connect`, { timeout: 300 })).status).toBe(201);
    expect(await reached(shut, [['198.51.100.1', PORT]])).toEqual([]);
    expect(await reached(open, [['198.51.100.1', PORT]])).toEqual(['198.51.100.1']);
  });

  test('nothing of the host is reachable while somebody removes the rules, and they are back at once', async () => {
    const addresses = await gateways(open);
    const { apiPort, temporal } = service.config;
    const targets = addresses.flatMap((address) => [PORT, apiPort, temporal.port].map((port) => [address, port]));
    const program = `
import json, os, socket
reached = set()
while not os.path.exists("/tmp/enough"):
    for host, port in json.loads('${JSON.stringify(targets)}'):
        try:
            socket.create_connection((host, port), 1).close()
            reached.add(host)
        except OSError:
            pass
    open("/tmp/tried", "w").write("x")
print(json.dumps(sorted(reached)))
`;
    await inGuest(open, 'rm -f /tmp/enough /tmp/tried');
    const trying = inGuest(open, `python3 -c "${program.replaceAll('"', '\\"')}"`);
    await vi.waitUntil(async () => (await inGuest(open, 'ls /tmp')).includes('tried'), { timeout: 60_000 });
    for (let time = 0; time < 5; time++) {
      await nft('delete', 'table', 'inet', GUARD_TABLE);
      await vi.waitUntil(() => nft('list', 'table', 'inet', GUARD_TABLE).then(Boolean, () => false), {
        timeout: 30_000,
        interval: 20,
      });
    }
    expect(await nft('list', 'set', 'inet', GUARD_TABLE, 'no_internet')).toMatch(/elements = \{ \d+/);
    await inGuest(open, 'touch /tmp/enough');
    expect(JSON.parse(await trying)).toEqual([]);
    expect(await reached(open, [['198.51.100.1', PORT]])).toEqual(['198.51.100.1']);
    expect(await reached(shut, [['198.51.100.1', PORT]])).toEqual([]);
  });
});
