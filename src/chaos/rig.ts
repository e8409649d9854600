import { access, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';
import type { Connection } from '@temporalio/client';
import { derivedUuid, DOMAIN_PREFIX } from '../../activities/machine.js';
import { mintKey } from '../api/api-keys.js';
import type { Config } from '../config.js';
import { SLOTS_DIRECTORY } from '../host/slot-claims.js';
import { findViolations, STEP_BOUND_MS } from '../invariants/find-violations.js';
import { observe } from '../invariants/observe.js';
import type { Observation } from '../invariants/observation.js';
import { keyOf, type Violation } from '../invariants/violation.js';
import { existingMasterKey } from '../keys/master-key.js';
import { Child } from '../setup/child.js';
import { clientUrls } from '../setup/client-settings.js';
import { GUARD_TABLE } from '../setup/guard-rules.js';
import { prepareDirectories } from '../setup/directories.js';
import { prepareHost } from '../setup/prepare-host.js';
import { waitForHttp } from '../setup/wait.js';
import { Service } from '../setup/service.js';
import { lazyConnection } from '../temporal/connection.js';
import { SandboxRuns, type SandboxRun } from '../temporal/sandbox-runs.js';
import { clockFileOf } from './environment.js';
import { clearGround, endMachines, layGround, mountGround, unmountGround } from './ground.js';
import { ChaosClient } from './guest.js';
import { Neighbour, stateDirBeside } from './neighbour.js';
import { cutPower } from './power.js';

const LISTED_AFTER_MS = 1_500;
const CLOCK_FOLLOWED_WITHIN_MS = 5_000;
/** Control worker, host worker, api and the short-lived api. */
const ROLES_WITH_A_CLOCK = 4;
const SHORT_LIVED_PORTS = 10;
/** What invariant 5 allows. */
const SETTLES_WITHIN_MS = Math.max(...Object.values(STEP_BOUND_MS));

/** A service of the run's own, whose state directory nobody else uses, and the means to hurt it. */
export class Rig {
  /** Ids of guests that no fault is aimed at. */
  readonly bystanders = new Set<string>();

  #shortLived: Child | undefined;

  private constructor(
    readonly config: Config,
    readonly env: NodeJS.ProcessEnv,
    readonly service: Service,
    readonly client: ChaosClient,
    private readonly connection: Connection,
    private readonly runs: SandboxRuns,
    private readonly apiKey: string,
  ) {}

  /** @param config with its own state directory, ports, host id and crash points file; `env` is what it was read from. */
  static async start(config: Config, env: NodeJS.ProcessEnv, say: (line: string) => void): Promise<Rig> {
    await clearGround(config);
    await clearGround({ ...config, stateDir: stateDirBeside(config) });
    await layGround(config);
    await prepareHost(config, say);
    const apiKey = await mintKey(config.apiKeysFile, 'default');
    const service = new Service(config, env, () => undefined);
    const connection = await lazyConnection(config.temporal);
    const rig = new Rig(
      config,
      env,
      service,
      new ChaosClient({ ...clientUrls(config), apiKey }),
      connection,
      new SandboxRuns(connection, config.temporal.namespace),
      apiKey,
    );
    await rig.#start().catch(async (error: unknown) => {
      await rig.end();
      throw error;
    });
    return rig;
  }

  async end(): Promise<void> {
    await this.#shortLived?.stop();
    await this.service.stop();
    await this.connection.close();
    await clearGround(this.config);
    const clock = clockFileOf(this.config.stateDir);
    for (const file of [clock, `${clock}.followed`]) await rm(file, { force: true });
  }

  /** The machine loses its power, and is started again: every process dies, and the disk has what had reached it. */
  async losePower(): Promise<void> {
    const { config } = this;
    await cutPower(config.stateDir);
    await Promise.all([this.service.crash(), this.#shortLived?.end()]);
    await endMachines(config);
    await unmountGround(config.stateDir);
    await mountGround(config.stateDir);
    await prepareDirectories(config);
    await this.#start();
  }

  /** The host worker is started again with a warm pool of this size. @returns once the pool has so many machines. */
  async resizeWarmPool(size: number): Promise<void> {
    await this.service.child('host-worker').stop();
    this.env['DORMOUSE_WARM_POOL'] = String(size);
    this.service.startRole('host-worker');
    await this.service.ready();
    const end = Date.now() + SETTLES_WITHIN_MS;
    while ((await this.#warmMachines()) !== size) {
      if (Date.now() > end)
        throw new Error(`the warm pool did not come to ${size} within ${SETTLES_WITHIN_MS / 1000} s`);
      await delay(500);
    }
  }

  /** Those that are there or being made. @returns how many; undefined while one is not ready, or Temporal is away. */
  async #warmMachines(): Promise<number | undefined> {
    const open = await this.#open().catch(() => undefined);
    if (open === undefined) return undefined;
    const warm = open.filter(({ view }) => view?.spec.warm === true);
    return warm.every(({ view }) => view?.status === 'running') ? warm.length : undefined;
  }

  async #open(): Promise<SandboxRun[]> {
    const runs = await this.runs.ask(await this.runs.listed(this.config.hostId));
    return runs.filter(({ run }) => run === 'open');
  }

  startNeighbour(): Promise<Neighbour> {
    return Neighbour.start(this.config, this.env, this.apiKey);
  }

  /** An api beside the service's own, whose sandboxes are kept for seconds only once they are paused. */
  get shortLivedApi(): string {
    return `http://127.0.0.1:${this.config.apiPort + SHORT_LIVED_PORTS}`;
  }

  async #start(): Promise<void> {
    await this.service.start();
    this.#shortLived = shortLivedApi(this.config, this.env);
    this.#shortLived.start();
    await waitForHttp(`${this.shortLivedApi}/health`, 'api', path.join(this.config.stateDir, 'logs', 'api.log'));
  }

  /** Orders for the crash switch; empty: none any more. */
  async arm(lines: string[]): Promise<void> {
    const file = this.#switch;
    if (lines.length === 0) await rm(file, { force: true });
    else await writeFile(file, lines.join('\n'));
  }

  async isArmed(): Promise<boolean> {
    return access(this.#switch).then(
      () => true,
      () => false,
    );
  }

  /**
   * Steps the clock of every role; 0: back to the machine's. The machine's own stays.
   * @returns once they all follow. @throws Error when they do not.
   */
  async stepClock(byMs: number): Promise<void> {
    const file = clockFileOf(this.config.stateDir);
    const end = Date.now() + CLOCK_FOLLOWED_WITHIN_MS;
    await rm(`${file}.followed`, { force: true });
    await writeFile(file, String(byMs));
    for (;;) {
      const said = await readFile(`${file}.followed`, 'utf8').catch(() => '');
      const followed = new Set(said.split('\n').filter((line) => line.endsWith(` ${byMs}`)));
      if (followed.size >= ROLES_WITH_A_CLOCK) return;
      if (Date.now() > end) throw new Error(`${followed.size} of ${ROLES_WITH_A_CLOCK} roles followed a clock step`);
      await delay(50);
    }
  }

  get #switch(): string {
    if (this.config.crashPointsFile === undefined) throw new Error('the service of a chaos run needs a crash switch');
    return this.config.crashPointsFile;
  }

  /** Waits until the workflow is where it stays. @throws Error after the bound. */
  async settled(id: string, where: (run: SandboxRun) => boolean = () => true): Promise<SandboxRun> {
    const end = Date.now() + SETTLES_WITHIN_MS;
    let last = 'nothing is known of it';
    for (;;) {
      try {
        const [run] = await this.runs.ask([id]);
        const status = run?.view?.status;
        const stays = run !== undefined && (run.run !== 'open' || status === 'running' || status === 'paused');
        if (stays && where(run)) return run;
        last = `it is ${status ?? 'unknown'}`;
      } catch (error) {
        last = error instanceof Error ? error.message : String(error);
      }
      if (Date.now() > end)
        throw new Error(`sandbox ${id} did not settle within ${SETTLES_WITHIN_MS / 1000} s: ${last}`);
      await delay(200);
    }
  }

  /** Ends a workflow as an operator can, past its own code. */
  async terminate(id: string): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.runs.terminate(id, 'a chaos run');
      } catch (error) {
        if (attempt === 20) throw error;
        await delay(500);
      }
    }
  }

  /** Ids of open workflows, without those of warm machines; Temporal's list lags behind by a moment. */
  async openIds(): Promise<string[]> {
    await delay(LISTED_AFTER_MS);
    return (await this.#open()).filter(({ view }) => view?.spec.warm !== true).map(({ id }) => id);
  }

  async observe(): Promise<Observation> {
    const { config, runs } = this;
    const { derive } = await existingMasterKey(config.masterKeyFile);
    return observe({
      manifestsKey: derive('manifests'),
      ...{ stateDir: config.stateDir, libvirtUri: config.libvirtUri, uidBase: config.uidBase, digests: true },
      ...{ slotsDirectory: SLOTS_DIRECTORY, domainPrefix: DOMAIN_PREFIX, guardTable: GUARD_TABLE },
      secretUuid: (id) => derivedUuid(id, 'secret'),
      workflows: async (ids) => {
        const all = [...new Set([...(await runs.listed(config.hostId)), ...ids])];
        return ids.length === 0 ? all.map((id) => ({ id, run: 'open' as const })) : runs.ask(all);
      },
    });
  }

  /** Violations that are still there after `withinMs`: what a step does last needs a moment after its answer. */
  async violations(withinMs: number, expected: (violation: Violation) => boolean): Promise<Violation[]> {
    const end = Date.now() + withinMs;
    let before = new Set<string>();
    for (;;) {
      const seen = await this.observe().catch((error: unknown) => {
        if (Date.now() > end) throw error;
      });
      if (seen !== undefined) {
        const found = findViolations(seen).filter((violation) => !expected(violation));
        if (found.length === 0) return [];
        if (Date.now() > end) return found.filter((violation) => before.has(keyOf(violation)));
        before = new Set(found.map(keyOf));
      }
      await delay(500);
    }
  }
}

const shortLivedApi = (config: Config, env: NodeJS.ProcessEnv): Child =>
  new Child({
    name: 'short-lived-api',
    command: process.execPath,
    args: [fileURLToPath(new URL('../mains/api.js', import.meta.url))],
    env: {
      ...env,
      DORMOUSE_API_PORT: String(config.apiPort + SHORT_LIVED_PORTS),
      DORMOUSE_PROXY_PORT: String(config.proxyPort + SHORT_LIVED_PORTS),
      DORMOUSE_PAUSED_RETENTION: '8s',
    },
    logFile: path.join(config.stateDir, 'logs', 'short-lived-api.log'),
    stopWithinMs: 5_000,
    say: () => undefined,
  });
