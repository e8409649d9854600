import { execFile, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { onHost, type Run } from '../../src/guard/run.js';

const execute = promisify(execFile);

const SERVE = `
import socket, sys
address, port = sys.argv[1], int(sys.argv[2])
if address == "::": s = socket.create_server((address, port), family=socket.AF_INET6, dualstack_ipv6=True)
else: s = socket.create_server((address, port))
print("listening", flush=True)
while True: s.accept()[0].close()
`;

/** Two machines on one wire: network namespaces with a veth pair. Private addresses: `10.9.0.1` and `.2`, `2001:db8:9::1` and `::2`. */
export class Neighbours {
  readonly #names: [string, string];
  readonly #servers: ChildProcess[] = [];

  constructor(name: string) {
    this.#names = [`dm-${name}-${process.pid}-1`, `dm-${name}-${process.pid}-2`];
  }

  async start(): Promise<void> {
    for (const name of this.#names) await execute('ip', ['netns', 'add', name]);
    const [first, second] = this.#names;
    const pair = ['link', 'add', 'wire', 'netns', first, 'type', 'veth', 'peer', 'name', 'wire', 'netns', second];
    await execute('ip', pair);
    for (const number of [1, 2] as const) {
      const ip = (...args: string[]): Promise<string> => this.at(number)('ip', args);
      await ip('link', 'set', 'lo', 'up');
      await ip('address', 'add', `10.9.0.${number}/24`, 'dev', 'wire');
      await ip('address', 'add', `2001:db8:9::${number}/64`, 'dev', 'wire', 'nodad');
      await ip('link', 'set', 'wire', 'up');
    }
  }

  /** The second has these addresses, too; the first knows the way. */
  async addresses(addresses: string[]): Promise<void> {
    for (const address of addresses) {
      await this.at(2)('ip', ['address', 'add', address, 'dev', 'wire', 'nodad']);
      await this.at(1)('ip', ['route', 'add', address, 'dev', 'wire']);
    }
  }

  /** Listens on a port of all addresses of one of them, or of `address` alone, as this user. */
  async serve(number: 1 | 2, port: number, { address = '::', uid = 0 } = {}): Promise<void> {
    const user = ['setpriv', '--reuid', String(uid), '--regid', String(uid), '--clear-groups'];
    const server = execFile('ip', [
      ...['netns', 'exec', this.#names[number - 1]!, ...user],
      ...['/usr/bin/python3', '-c', SERVE, address, String(port)],
    ]);
    this.#servers.push(server);
    await once(server.stdout!, 'data');
  }

  /** Whether this user of the first can open a TCP connection. */
  connects(address: string, port: number, uid: number): Promise<boolean> {
    const program = `import socket; socket.create_connection(("${address}", ${port}), 2).close()`;
    const user = ['--reuid', String(uid), '--regid', String(uid), '--clear-groups'];
    return this.at(1)('setpriv', [...user, '/usr/bin/python3', '-c', program]).then(
      () => true,
      () => false,
    );
  }

  /** On both: addresses `10.10.0.x` and `2001:db8:10::x` in a VXLAN over the private ones. */
  async overlay(): Promise<void> {
    for (const number of [1, 2] as const) {
      const ip = (...args: string[]): Promise<string> => this.at(number)('ip', args);
      const far = `10.9.0.${3 - number}`;
      const vxlan = ['type', 'vxlan', 'id', '9', 'dev', 'wire', 'remote', far, 'dstport', '4789'];
      await ip('link', 'add', 'overlay', ...vxlan);
      await ip('address', 'add', `10.10.0.${number}/24`, 'dev', 'overlay');
      await ip('address', 'add', `2001:db8:10::${number}/64`, 'dev', 'overlay', 'nodad');
      await ip('link', 'set', 'overlay', 'up');
    }
  }

  /** Runs a program on one of them. */
  at(number: 1 | 2): Run {
    return (program, args, input) => onHost('ip', ['netns', 'exec', this.#names[number - 1]!, program, ...args], input);
  }

  /** What the first knows of the second's address, such as `REACHABLE`. */
  async neighbour(address: string): Promise<string> {
    return (await this.at(1)('ip', ['neighbour', 'show', address])).trim().split(' ').at(-1) ?? '';
  }

  /** Ends all of it; what is not there is fine. */
  async stop(): Promise<void> {
    for (const server of this.#servers) server.kill();
    for (const name of this.#names) await execute('ip', ['netns', 'delete', name]).catch(() => undefined);
  }
}

/** Sends the first a datagram to the second, as root; nobody listens there. */
export const SEND = `
import socket, sys
address = sys.argv[1]
s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b"x", (address, 9))
`;
