import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { HOST_THREADS, type Config } from '../config.js';
import { beforeGuests } from './before-guests.js';
import { Child } from './child.js';
import { temporalCli } from './temporal-cli.js';
import { waitForHttp, waitForPort } from './wait.js';

const mains = fileURLToPath(new URL('../mains/', import.meta.url));

/** All roles on one machine, each a process of its own: Temporal (unless there is one already), workers, api. */
export class Service {
  readonly #children = new Map<string, Child>();
  #before: string[] = [];

  constructor(
    private readonly config: Config,
    private readonly env: NodeJS.ProcessEnv,
    private readonly say: (line: string) => void,
    /** Mains that stand in for those of a role. */
    private readonly standIns: Readonly<Record<string, string>> = {},
  ) {}

  /** Starts every role and waits until the api answers. */
  async start(): Promise<void> {
    const { config, say } = this;
    await mkdir(this.#logs, { recursive: true, mode: 0o700 });
    this.#before = await beforeGuests(say);
    if (!config.temporal.external) {
      say('starting Temporal');
      await this.#startTemporal();
    }
    say('starting control worker, host worker and api');
    for (const role of ['control-worker', 'host-worker', 'api']) this.startRole(role);
    await this.ready();
  }

  /** Resolves once host worker and api answer. */
  async ready(): Promise<void> {
    const { config } = this;
    await waitForHttp(`http://127.0.0.1:${config.gatewayPort}/`, 'host worker', this.#log('host-worker'));
    if (config.tls !== undefined) await waitForPort(config.apiPort, 'api', this.#log('api'));
    else await waitForHttp(`http://127.0.0.1:${config.apiPort}/health`, 'api', this.#log('api'));
  }

  startRole(role: string): void {
    const args = ['--enable-source-maps', path.join(mains, `${this.standIns[role] ?? role}.js`)];
    this.#add(
      role,
      process.execPath,
      args,
      20_000,
      role === 'host-worker' ? { UV_THREADPOOL_SIZE: String(HOST_THREADS) } : {},
    );
  }

  child(role: string): Child {
    const child = this.#children.get(role);
    if (child === undefined) throw new Error(`there is no role ${role}`);
    return child;
  }

  /** In the reverse order of starting, so that no role loses what it stands on. */
  async stop(): Promise<void> {
    for (const child of [...this.#children.values()].reverse()) await child.stop();
    this.#children.clear();
  }

  /** kill -9 of every role at once; none is started again. */
  async crash(): Promise<void> {
    await Promise.all([...this.#children.values()].map((child) => child.end()));
    this.#children.clear();
  }

  async #startTemporal(): Promise<void> {
    const { config } = this;
    const cli = await temporalCli(config, this.say);
    const { SEARCH_ATTRIBUTE_KEYS } = await import('../../workflows/search-attributes.js');
    this.#add(
      'temporal',
      cli,
      [
        ...['server', 'start-dev', '--ip', '127.0.0.1', '--log-level', 'warn'],
        ...['--port', String(config.temporal.port), '--ui-port', String(config.temporal.uiPort)],
        ...['--namespace', config.temporal.namespace],
        ...['--db-filename', path.join(config.stateDir, 'temporal.db')],
        ...SEARCH_ATTRIBUTE_KEYS.flatMap((key) => ['--search-attribute', `${key.name}=Keyword`]),
      ],
      15_000,
    );
    await waitForPort(config.temporal.port, 'Temporal', this.#log('temporal'));
  }

  #add(name: string, command: string, args: string[], stopWithinMs: number, more: NodeJS.ProcessEnv = {}): void {
    const child = new Child({
      name,
      command,
      args,
      env: { ...more, ...this.env },
      logFile: this.#log(name),
      stopWithinMs,
      say: this.say,
      before: this.#before,
    });
    this.#children.set(name, child);
    child.start();
  }

  get #logs(): string {
    return path.join(this.config.stateDir, 'logs');
  }

  #log(name: string): string {
    return path.join(this.#logs, `${name}.log`);
  }
}
