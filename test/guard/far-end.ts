import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Listens on ports and on every address; a dual-stack socket takes IPv4 too. */
const SERVER = `
import socket, sys, threading
def serve(port):
    s = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    while True:
        c, _ = s.accept(); c.close()
for port in sys.argv[1:]: threading.Thread(target=serve, args=(int(port),)).start()
`;

/** The far end's addresses: a public one, two private ones, a resolver, the metadata of clouds; IPv6 alike. */
const FAR = [
  '198.51.100.1/24',
  '192.168.77.1/24',
  '10.88.0.1/24',
  '10.77.0.1/24',
  '169.254.169.254/32',
  '168.63.129.16/32',
  '192.0.0.192/32',
  '100.100.100.200/32',
  '2001:db8:77::1/64',
  'fd77::1/64',
];
/** The host's own on the same wire. */
const NEAR = ['198.51.100.2/24', '192.168.77.2/24', '10.88.0.2/24', '10.77.0.2/24', '2001:db8:77::2/64', 'fd77::2/64'];

const nodad = (address: string): string[] => (address.includes(':') ? ['nodad'] : []);

/** A neighbour of this host for a test: a network namespace behind a veth pair, with servers; and one on the host. */
export class FarEnd {
  readonly #namespace = `dormouse-test-${process.pid}`;
  readonly #veth = `dm${process.pid % 100_000}`;
  readonly #servers: { kill(): boolean }[] = [];

  /** Servers on `port`, 53 and 25 of every far address, and on `port` of every address of the host, loopback included. */
  async start(port: number): Promise<void> {
    await removeAbandoned();
    const inside = ['-n', this.#namespace];
    await run('ip', ['netns', 'add', this.#namespace]);
    await run('ip', ['link', 'add', this.#veth, 'type', 'veth', 'peer', 'name', 'far', 'netns', this.#namespace]);
    for (const address of NEAR) await run('ip', ['address', 'add', address, 'dev', this.#veth, ...nodad(address)]);
    await run('ip', ['link', 'set', this.#veth, 'up']);
    for (const address of FAR.filter((one) => one.endsWith('/32')))
      await run('ip', ['route', 'add', address, 'dev', this.#veth]);
    for (const address of FAR) await run('ip', [...inside, 'address', 'add', address, 'dev', 'far', ...nodad(address)]);
    await run('ip', [...inside, 'link', 'set', 'far', 'up']);
    await run('ip', [...inside, 'link', 'set', 'lo', 'up']);
    const program = ['-c', SERVER, String(port)];
    this.#servers.push(execFile('ip', ['netns', 'exec', this.#namespace, 'python3', ...program, '53', '25']));
    this.#servers.push(execFile('python3', program));
  }

  /** Ends all of it; what is not there is fine. */
  async stop(): Promise<void> {
    // Each is one process: `ip netns exec` becomes what it runs. The namespace goes with the last of them.
    for (const server of this.#servers) server.kill();
    await run('ip', ['netns', 'delete', this.#namespace]).catch(() => undefined);
    await run('ip', ['link', 'delete', this.#veth]).catch(() => undefined);
  }
}

/** What a test that was killed has left would take the addresses of the next one. Its process is named in its names. */
async function removeAbandoned(): Promise<void> {
  const links = JSON.parse((await run('ip', ['-json', 'link', 'show', 'type', 'veth'])).stdout || '[]') as {
    ifname: string;
  }[];
  for (const { ifname } of links) {
    const pid = /^dm(\d+)$/.exec(ifname)?.[1];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    const namespace = `dormouse-test-${pid}`;
    const { stdout } = await run('ip', ['netns', 'pids', namespace]).catch(() => ({ stdout: '' }));
    for (const server of stdout.split('\n').filter(Boolean)) process.kill(Number(server));
    await run('ip', ['netns', 'delete', namespace]).catch(() => undefined);
    await run('ip', ['link', 'delete', ifname]).catch(() => undefined);
  }
}
