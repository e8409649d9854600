import pLimit from 'p-limit';
import { LibvirtConnection } from './connection.js';

/**
 * libvirtd reads no further request of a client that has five under way (`max_client_requests`), and works on twenty of
 * all clients at a time (`max_workers`); both are its defaults.
 */
const CONNECTIONS = 3;
const CALLS_EACH = 4;

interface Lane {
  connection: LibvirtConnection;
  limit: ReturnType<typeof pLimit>;
}

/**
 * Calls of libvirt that last: starts, restores that wait for memory, saves. On connections of their own, so that they
 * never keep a short call waiting; what is too much waits here.
 */
export class LongCalls {
  readonly #lanes: Lane[];

  constructor(uri: string) {
    this.#lanes = Array.from({ length: CONNECTIONS }, () => ({
      connection: new LibvirtConnection(uri),
      limit: pLimit(CALLS_EACH),
    }));
  }

  /** Runs `work`, with one call on the connection that it is given, once its turn has come. */
  async run<T>(work: (connection: LibvirtConnection) => Promise<T>): Promise<T> {
    const busy = ({ limit }: Lane): number => limit.activeCount + limit.pendingCount;
    const [lane] = [...this.#lanes].sort((a, b) => busy(a) - busy(b));
    const { connection, limit } = lane!;
    return limit(async () => {
      // A connection from before a restart of libvirtd shows by a call that may fail; then the next one opens another.
      await connection.use((hypervisor) => hypervisor.connectGetHostname()).catch(() => undefined);
      return work(connection);
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.#lanes.map(({ connection }) => connection.close()));
  }
}
