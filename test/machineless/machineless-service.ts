import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { DefaultLogger, makeTelemetryFilterString, Runtime } from '@temporalio/worker';
import type { StepKind } from '../../workflows/step-queues.js';
import { mintKey } from '../../src/api/api-keys.js';
import { FakeMachines } from '../../src/bench/machineless/fake-machines.js';
import { idleVirsh } from '../../src/bench/machineless/idle-virsh.js';
import { startMachinelessHost } from '../../src/bench/machineless/machineless-host.js';
import { readConfig, type Config } from '../../src/config.js';
import type { Reserve } from '../../src/host/admission.js';
import { ownPorts } from '../../src/setup/own-ports.js';
import { Child } from '../../src/setup/child.js';
import { temporalCli } from '../../src/setup/temporal-cli.js';
import { waitForHttp, waitForPort } from '../../src/setup/wait.js';
import { FIRST_PORT } from '../e2e/running-service.js';
import { HostProcess } from './host-process.js';

Runtime.install({
  logger: new DefaultLogger('ERROR'),
  telemetryOptions: { logging: { filter: makeTelemetryFilterString({ core: 'ERROR' }) } },
});

const dist = path.resolve(import.meta.dirname, '../../dist/src/mains');

const NOTHING = { memoryMiB: 0, diskMiB: 0 };

/** Apart from guests' memory, as where that is a file system of its own. */
async function mountDisk(stateDir: string, mib: number): Promise<void> {
  const mount = (size: string, directory: string) =>
    execa('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'dormouse', directory]);
  await mount(`${mib}m`, stateDir);
  const memory = path.join(stateDir, 'memory');
  await mkdir(memory);
  await mount('8g', memory);
}

/**
 * The whole service without machines: Temporal, control worker and api are processes of their own, as `make up` starts
 * them; the host worker is in this process, with the real activities over a fake driver, or in one of its own. Its state is
 * in memory.
 */
export class MachinelessService {
  readonly #children = new Map<string, Child>();
  #endHost: () => Promise<void> = () => Promise.resolve();
  #host: HostProcess | undefined;

  private constructor(
    readonly config: Config,
    readonly apiKey: string,
    readonly machines: FakeMachines,
    private readonly env: NodeJS.ProcessEnv,
    private readonly temporalOptions: string[],
    private readonly reserved: Reserve,
  ) {}

  /** @param portOffset of its five ports, from the first test port */
  static async start(
    portOffset: number,
    options: {
      temporal?: string[];
      machinesTakeUpToMs?: number;
      warmPool?: number;
      reserved?: Reserve;
      slots?: Partial<Record<StepKind, number>>;
      stepsAtOnce?: { machine?: number; guest?: number };
      /** Size of a disk of its own, MiB. */
      diskMiB?: number;
      /** The host worker is a process, see {@link MachinelessService.host}: clients that keep this one busy do not delay it. */
      hostApart?: boolean;
      env?: NodeJS.ProcessEnv;
    } = {},
  ): Promise<MachinelessService> {
    const stateDir = await mkdtemp('/dev/shm/dormouse-test-');
    if (options.diskMiB !== undefined) await mountDisk(stateDir, options.diskMiB);
    const env: NodeJS.ProcessEnv = {
      ...process.env,
      ...{ DORMOUSE_STATE_DIR: stateDir, DORMOUSE_HOST_ID: 'machineless', DORMOUSE_LOG_LEVEL: 'warn' },
      ...ownPorts(FIRST_PORT + portOffset),
      ...{ DORMOUSE_WARM_POOL: String(options.warmPool ?? 0) },
      ...options.env,
    };
    const { slots, stepsAtOnce } = options;
    const config = {
      ...readConfig(env),
      ...(slots === undefined ? {} : { slots }),
      ...(stepsAtOnce === undefined ? {} : { stepsAtOnce }),
    };
    const apiKey = await mintKey(config.apiKeysFile, 'default');
    const machines = new FakeMachines(options.machinesTakeUpToMs);
    const service = new MachinelessService(
      config,
      apiKey,
      machines,
      env,
      options.temporal ?? [],
      options.reserved ?? NOTHING,
    );
    try {
      await mkdir(path.join(stateDir, 'logs'));
      await service.startTemporal();
      for (const role of ['control-worker', 'api'])
        service.#add(role, process.execPath, [path.join(dist, `${role}.js`)]);
      await waitForHttp(`http://127.0.0.1:${config.apiPort}/health`, 'api', service.logFile('api'));
      process.env['PATH'] = `${await idleVirsh(stateDir)}:${process.env['PATH'] ?? ''}`;
      if (options.hostApart === true) await service.#startHostApart({ slots, stepsAtOnce, reserved: service.reserved });
      else service.#endHost = await startMachinelessHost(config, machines, service.reserved);
    } catch (error) {
      await service.end();
      throw error;
    }
    return service;
  }

  /** Of a service that was started with `hostApart`; its machines are there, and not in `machines`. */
  get host(): HostProcess {
    if (this.#host === undefined) throw new Error('the host worker of this service is no process of its own');
    return this.#host;
  }

  get apiPid(): number | undefined {
    return this.#children.get('api')?.pid;
  }

  async #startHostApart(settings: object): Promise<void> {
    const main = path.join(dist, 'machineless-host-worker.js');
    const env = { ...this.env, PATH: process.env['PATH'] };
    const host = await HostProcess.start(main, settings, env, this.logFile('host-worker'));
    this.#host = host;
    this.#endHost = () => host.stop();
  }

  logFile(role: string): string {
    return path.join(this.config.stateDir, 'logs', `${role}.log`);
  }

  async startTemporal(): Promise<void> {
    const { config } = this;
    this.#add('temporal', await temporalCli(config, () => undefined), [
      ...['server', 'start-dev', '--ip', '127.0.0.1', '--log-level', 'error', '--headless'],
      ...['--port', String(config.temporal.port), '--db-filename', path.join(config.stateDir, 'temporal.db')],
      ...this.temporalOptions,
    ]);
    await waitForPort(config.temporal.port, 'Temporal', this.logFile('temporal'));
  }

  /** Waits until the host has begun with a sandbox, and it is the only one. @returns its id, before any answer tells it */
  async onlySandbox(): Promise<string> {
    for (;;) {
      const ids = await readdir(path.join(this.config.stateDir, 'sandboxes'));
      if (ids.length === 1) return ids[0]!;
      await delay(20);
    }
  }

  /** Ends Temporal; it stays away until `startTemporal`. */
  async stopTemporal(): Promise<void> {
    await this.#children.get('temporal')?.stop();
  }

  /** kill -9; it is started again at once. */
  async crashTemporal(): Promise<void> {
    await this.#children.get('temporal')?.crash();
  }

  /** kill -9 of a role that is a process of its own; it is started again at once. */
  async crash(role: 'api' | 'control-worker'): Promise<void> {
    await this.#children.get(role)?.crash();
  }

  /** The host worker ends and starts again, its machines run on. */
  async restartHost(change: Partial<Config> = {}): Promise<void> {
    await this.#endHost();
    this.#endHost = await startMachinelessHost({ ...this.config, ...change }, this.machines, this.reserved);
  }

  async end(): Promise<void> {
    await this.#endHost();
    await this.machines.close();
    for (const child of [...this.#children.values()].reverse()) await child.stop();
    await execa('umount', ['--recursive', this.config.stateDir], { reject: false });
    await rm(this.config.stateDir, { recursive: true, force: true });
  }

  #add(name: string, command: string, args: string[]): void {
    const say = (): void => undefined;
    const logFile = this.logFile(name);
    const child = new Child({ name, command, args, env: this.env, logFile, stopWithinMs: 10_000, say });
    this.#children.set(name, child);
    child.start();
  }
}
