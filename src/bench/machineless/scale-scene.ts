import { stat } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, type Connection } from '@temporalio/client';
import { sandboxWorkflowId } from '../../../workflows/names.js';
import { findViolations } from '../../invariants/find-violations.js';
import { observeFiles } from '../../invariants/observe-files.js';
import { fileMasterKey } from '../../keys/master-key.js';
import { lazyConnection } from '../../temporal/connection.js';
import { SandboxRuns } from '../../temporal/sandbox-runs.js';
import { TemporalSandboxClient } from '../../temporal/sandbox-client.js';
import { waitForHttp } from '../../setup/wait.js';
import type { Context } from '../measurement.js';
import { median } from '../statistics.js';
import type { MachinelessService } from './machineless-service.js';
import { Seeder, type Seeded } from './seed.js';

const LISTS = 20;
const ROUNDS = 10;
const LOOKS = 3;
const MINUTE_MS = 60_000;
/** From the end of seeding to the first deadline: the host worker has to be up again. */
const LEAD_MS = 20_000;
/** How long timers are waited for, after their minute. */
const TIMERS_WITHIN_MS = 600_000;
const LOOK_EVERY_MS = 1_000;
const ANSWERS_WITHIN_MS = 120_000;

/** By name, with the unit in it. */
export type ScaleFigures = Record<string, number>;

/** A service without machines that gets more and more sleeping sandboxes. */
export class ScaleScene {
  readonly #ids: string[] = [];

  private constructor(
    private readonly service: MachinelessService,
    private readonly connection: Connection,
    private readonly seeder: Seeder,
    private readonly say: (line: string) => void,
  ) {}

  static async start(service: MachinelessService, context: Context): Promise<ScaleScene> {
    const connection = await lazyConnection(service.config.temporal);
    context.atEnd(() => connection.close());
    return new ScaleScene(service, connection, await Seeder.start(service, connection), context.say);
  }

  #hostWorkerSeconds = 0;

  /** Starts the host worker anew, with so many sandboxes more. */
  async growTo(size: number): Promise<void> {
    const more = await this.#addAsleep(size - this.#ids.length);
    this.#ids.push(...more.map(({ id }) => id));
  }

  async #addAsleep(count: number, expiryOf?: (index: number) => number): Promise<Seeded[]> {
    await this.service.stopRole('host-worker');
    const start = Date.now();
    const seeded = await this.seeder.seed(count, expiryOf);
    if (count > 0) this.say(`${count} made in ${((Date.now() - start) / 1000).toFixed(0)} s`);
    const { gatewayPort } = this.service.config;
    this.#hostWorkerSeconds = await this.service.startRole('host-worker', () =>
      waitForHttp(`http://127.0.0.1:${gatewayPort}/`, 'host worker', this.service.logFile('host-worker')),
    );
    return seeded;
  }

  async figures(): Promise<ScaleFigures> {
    const control = await this.#controlWorkerSeconds();
    const listMs = await this.#list();
    const verbs = await this.#rounds();
    const reaping = await this.#reaping();
    const resident = await this.service.residentMiB();
    const database = await stat(path.join(this.service.config.stateDir, 'temporal.db'));
    return {
      ...Object.fromEntries(Object.entries(resident).map(([role, mib]) => [`memory of ${role}, MiB`, mib])),
      "Temporal's database, MiB": database.size / 2 ** 20,
      'start of the host worker, s': this.#hostWorkerSeconds,
      'start of the control worker until a workflow answers, s': control,
      'list, ms': listMs,
      ...verbs,
      ...reaping,
    };
  }

  /** Until a sandbox that slept before answers: its workflow has to be replayed. */
  async #controlWorkerSeconds(): Promise<number> {
    const { namespace } = this.service.config.temporal;
    const temporal = new TemporalSandboxClient(this.connection, namespace);
    const id = this.#ids.at(-1) ?? (await this.#anyId());
    await this.service.stopRole('control-worker');
    return this.service.startRole('control-worker', async () => {
      const end = Date.now() + ANSWERS_WITHIN_MS;
      while ((await temporal.get(id).catch(() => undefined)) === undefined) {
        if (Date.now() > end) throw new Error(`no workflow answers after ${ANSWERS_WITHIN_MS / 1000} s`);
      }
    });
  }

  async #anyId(): Promise<string> {
    const { value } = await this.service.client.call('GET', '/v2/sandboxes?limit=1', undefined, 200);
    return (value as { sandboxID: string }[])[0]!.sandboxID;
  }

  async #list(): Promise<number> {
    const seconds: number[] = [];
    for (let number = 0; number < LISTS; number++) {
      seconds.push((await this.service.client.call('GET', '/v2/sandboxes?limit=100', undefined, 200)).seconds);
    }
    return median(seconds) * 1000;
  }

  async #rounds(): Promise<ScaleFigures> {
    const { client } = this.service;
    const times = { create: [] as number[], pause: [] as number[], connect: [] as number[], kill: [] as number[] };
    for (let number = 0; number < ROUNDS; number++) {
      const { sandbox, seconds } = await client.create();
      times.create.push(seconds);
      for (const verb of ['pause', 'connect', 'kill'] as const) times[verb].push((await client[verb](sandbox)).seconds);
    }
    return Object.fromEntries(Object.entries(times).map(([verb, seconds]) => [`${verb}, ms`, median(seconds) * 1000]));
  }

  /** The parts of the reaper's look at everything. */
  async #reaping(): Promise<ScaleFigures> {
    const { stateDir, masterKeyFile, temporal } = this.service.config;
    const manifestsKey = (await fileMasterKey(masterKeyFile)).derive('manifests');
    const runs = new SandboxRuns(this.connection, temporal.namespace);
    const timed = async <T>(work: () => Promise<T> | T): Promise<[T, number]> => {
      const start = performance.now();
      const value = await work();
      return [value, (performance.now() - start) / 1000];
    };
    const nothing = { domains: [], processes: [], secrets: [], claims: [], deniedSlots: [] };
    const seconds = { reading: [] as number[], asking: [] as number[], comparing: [] as number[] };
    for (let number = 0; number < LOOKS; number++) {
      const [files, reading] = await timed(() => observeFiles({ stateDir, manifestsKey, digests: false }));
      const [workflows, asking] = await timed(() => runs.find(files.sandboxes.map(({ id }) => id)));
      const [, comparing] = await timed(() => findViolations({ at: Date.now(), ...nothing, ...files, workflows }));
      seconds.reading.push(reading);
      seconds.asking.push(asking);
      seconds.comparing.push(comparing);
    }
    return {
      'reaper: reads the files, s': median(seconds.reading),
      'reaper: asks Temporal, s': median(seconds.asking),
      'reaper: compares, s': median(seconds.comparing),
    };
  }

  /** @returns by how many seconds each of so many was handled late; their deadlines spread evenly over one minute. */
  async timers(count: number): Promise<number[]> {
    const { seeded, first } = await this.#withDeadlinesAhead(count);
    await delay(first + MINUTE_MS - Date.now());
    const closed = await this.#closeTimes(seeded, Date.now() + TIMERS_WITHIN_MS);
    return seeded.map(({ id, expiresAt }) => (closed.get(id)! - expiresAt) / 1000);
  }

  /** The first deadline has to be guessed before anything is made; a guess that was too early is not used. */
  async #withDeadlinesAhead(count: number): Promise<{ seeded: Seeded[]; first: number }> {
    const start = Date.now();
    await this.#addAsleep(Math.ceil(count / 10));
    let needsMs = (Date.now() - start) * 12;
    for (;;) {
      const begin = Date.now();
      const first = begin + needsMs + LEAD_MS;
      const seeded = await this.#addAsleep(count, (index) => first + (index * MINUTE_MS) / count);
      if (Date.now() < first) return { seeded: seeded.sort((a, b) => a.expiresAt - b.expiresAt), first };
      this.say('some timers were due before the host worker was up; once more, with more time');
      needsMs = (Date.now() - begin) * 2;
    }
  }

  async #closeTimes(seeded: Seeded[], end: number): Promise<Map<string, number>> {
    const client = new Client({ connection: this.connection, namespace: this.service.config.temporal.namespace });
    const closed = new Map<string, number>();
    for (const { id } of seeded) {
      for (;;) {
        const { closeTime } = await client.workflow.getHandle(sandboxWorkflowId(id)).describe();
        if (closeTime !== undefined) {
          closed.set(id, closeTime.getTime());
          break;
        }
        if (Date.now() > end) throw new Error(`sandbox ${id} is still there long after its expiry`);
        await delay(LOOK_EVERY_MS);
      }
    }
    return closed;
  }
}
