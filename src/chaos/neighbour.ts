import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { HOST_THREADS, readConfig, type Config } from '../config.js';
import { Child } from '../setup/child.js';
import { clientUrls } from '../setup/client-settings.js';
import { prepareHost } from '../setup/prepare-host.js';
import { waitForHttp } from '../setup/wait.js';
import { clearGround } from './ground.js';
import { ChaosClient, type Guest } from './guest.js';

const PORTS_ASIDE = 20;

export const stateDirBeside = ({ stateDir }: Pick<Config, 'stateDir'>): string => `${stateDir}-b`;

/**
 * A second host on the same machine: another id, another state directory, the same Temporal, libvirt, firewall table and
 * unix users; and an api that serves it alone.
 */
export class Neighbour {
  readonly #children: Child[] = [];

  private constructor(
    private readonly config: Config,
    private readonly env: NodeJS.ProcessEnv,
    private readonly client: ChaosClient,
  ) {}

  static async start(of: Config, env: NodeJS.ProcessEnv, apiKey: string): Promise<Neighbour> {
    const neighbourEnv = {
      ...env,
      DORMOUSE_HOST_ID: `${of.hostId}-b`,
      DORMOUSE_STATE_DIR: stateDirBeside(of),
      DORMOUSE_MASTER_KEY_FILE: of.masterKeyFile,
      DORMOUSE_API_KEYS_FILE: of.apiKeysFile,
      DORMOUSE_API_PORT: String(of.apiPort + PORTS_ASIDE),
      DORMOUSE_PROXY_PORT: String(of.proxyPort + PORTS_ASIDE),
      DORMOUSE_GATEWAY_PORT: String(of.gatewayPort + PORTS_ASIDE),
      DORMOUSE_CRASH_POINTS_FILE: undefined,
    };
    const config = readConfig(neighbourEnv);
    await clearGround(config);
    await mkdir(config.stateDir, { recursive: true });
    await prepareHost(config, () => undefined);
    const neighbour = new Neighbour(config, neighbourEnv, new ChaosClient({ ...clientUrls(config), apiKey }));
    await neighbour.#startRoles().catch(async (error: unknown) => {
      await neighbour.end();
      throw error;
    });
    return neighbour;
  }

  /** A life of a sandbox, with its host worker killed in the middle. @throws Error when it is not as it was. */
  async live(): Promise<void> {
    const guest = await this.#newGuest();
    await this.#expect('POST', `/sandboxes/${guest.id}/pause`, {}, 204);
    await this.#children[0]!.crash();
    await this.#ready();
    await this.#expect('POST', `/sandboxes/${guest.id}/connect`, { timeout: 3_600 }, 201);
    const wrong = await this.client.prove(guest);
    if (wrong !== undefined) throw new Error(`sandbox ${guest.id} of the host beside: ${wrong}`);
    await this.#expect('DELETE', `/sandboxes/${guest.id}`, undefined, 204);
  }

  async end(): Promise<void> {
    for (const child of this.#children) await child.stop();
    await clearGround(this.config);
  }

  async #newGuest(): Promise<Guest> {
    const body = await this.#expect('POST', '/sandboxes', { templateID: 'base', timeout: 3_600 }, 201);
    const { sandboxID, envdAccessToken } = body as { sandboxID: string; envdAccessToken: string };
    return this.client.mark(sandboxID, envdAccessToken);
  }

  async #expect(method: string, route: string, body: object | undefined, status: number): Promise<unknown> {
    const answer = await this.client.call(method, route, body);
    if (answer.status === status) return answer.body;
    throw new Error(`the host beside answered ${answer.status} to ${method} ${route}: ${JSON.stringify(answer.body)}`);
  }

  async #startRoles(): Promise<void> {
    const logs = path.join(this.config.stateDir, 'logs');
    for (const role of ['host-worker', 'api']) {
      const child = new Child({
        ...{ name: role, command: process.execPath, stopWithinMs: 20_000, say: () => undefined },
        args: [fileURLToPath(new URL(`../mains/${role}.js`, import.meta.url))],
        env: { UV_THREADPOOL_SIZE: String(HOST_THREADS), ...this.env },
        logFile: path.join(logs, `${role}.log`),
      });
      this.#children.push(child);
      child.start();
    }
    await this.#ready();
  }

  async #ready(): Promise<void> {
    const log = (role: string): string => path.join(this.config.stateDir, 'logs', `${role}.log`);
    await waitForHttp(`http://127.0.0.1:${this.config.gatewayPort}/`, 'host worker beside', log('host-worker'));
    await waitForHttp(`http://127.0.0.1:${this.config.apiPort}/health`, 'api beside', log('api'));
  }
}
