import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pino } from 'pino';
import type { CrashPoint, Reached } from '../../activities/crash-points.js';
import type { HostContext } from '../../activities/host-context.js';
import { derivedUuid, domainName } from '../../activities/machine.js';
import type { SandboxSpec, SandboxView } from '../../workflows/view.js';
import { Activity } from '../../src/gateway/activity.js';
import { AGENT_PORT } from '../../src/gateway/wire.js';
import type { Manifest } from '../../src/host/manifest.js';
import { SandboxIndex } from '../../src/host/sandbox-index.js';
import { SandboxLocks } from '../../src/host/sandbox-locks.js';
import { slotAddress } from '../../src/host/slots.js';
import { StatePaths } from '../../src/host/state-paths.js';
import { Journal } from '../../src/journal/journal.js';
import { fileMasterKey } from '../../src/keys/master-key.js';
import { newSandboxKey, wrapSandboxKey } from '../../src/keys/sandbox-key.js';
import { removeSecret } from '../../src/libvirt/secrets.js';
import type { Template } from '../../src/template/template.js';
import { FakeDriver } from './fake-driver.js';

const MIB = 1024 * 1024;
const LIBVIRT_URI = 'qemu:///system';
/** Beyond those of any sandbox of a running service, and of other tests. */
const FIRST_SLOT = 5_000_000 + (process.pid % 100_000) * 10;

/** One host on a state directory of its own, with one sandbox: real files, keys, locks and secrets; no real machine. */
export class HostScene {
  readonly driver = new FakeDriver();
  readonly traffic = new Activity();
  /** Slots that the sandbox holds; on a real host in files, which outlive a crash as this does. */
  readonly claims = new Set<number>();
  /** Called at the named moments of a verb. */
  reached: Reached = () => undefined;
  /** What the guest's agent was asked. */
  readonly asked: { path: string; body: string; token: string | undefined }[] = [];
  /** Status that the agent answers with, by path. */
  readonly agentSays: Record<string, number> = {};
  bootId = 'boot-1';
  /** The one token that opens the agent; absent: any. */
  knownToken: string | undefined;
  /** Whose agents were heard. */
  readonly heard: string[] = [];
  /** Whose machines were made to boot. */
  readonly booted: string[] = [];
  /** Why its guest must have crashed, and what was heard of its machine's end. */
  crash: string | undefined;
  howItEnded: string | undefined;
  onCrash: 'end' | 'reboot' = 'end';
  /** Of a pause for the agent. */
  answersWithinMs = 20_000;
  agentIsSilent = false;
  /** What the template has beyond its record; nothing that could be restored, unless a test gives it. */
  templateFiles: Partial<Template> = {};
  context!: HostContext;
  #agent!: Server;

  private constructor(
    readonly id: string,
    readonly stateDir: string,
    readonly paths: StatePaths,
  ) {}

  static async start(): Promise<HostScene> {
    const stateDir = await mkdtemp(path.join(tmpdir(), 'host-scene-'));
    const scene = new HostScene(
      `i${randomUUID().replaceAll('-', '').slice(0, 20)}`,
      stateDir,
      new StatePaths(stateDir),
    );
    await mkdir(scene.paths.memory, { recursive: true });
    await mkdir(scene.sandbox.directory, { recursive: true });
    await scene.#makeContext();
    const { wrapper } = scene.context.masterKey;
    await writeFile(
      scene.sandbox.wrappedKey,
      await wrapSandboxKey(wrapper, scene.id, await scene.#makeOverlay(scene.sandbox.overlay)),
    );
    await scene.#listen();
    return scene;
  }

  get sandbox() {
    return this.paths.sandbox(this.id);
  }

  get machine(): string {
    return domainName(this.id);
  }

  get manifest(): Manifest {
    return this.context.index.get(this.id)!;
  }

  view(status: 'running' | 'paused', generation: number): SandboxView {
    return { ...{ spec: this.spec, status, generation, startedAt: 1, endAt: 2, reason: 'for a test' } };
  }

  get spec(): SandboxSpec {
    return {
      ...{ id: this.id, tenant: 't', hostId: 'h', templateId: 'base', templateKey: 'k', cpuCount: 2, memoryMiB: 512 },
      ...{
        diskMiB: 4096,
        envdVersion: '0.6.4',
        metadata: {},
        allowInternetAccess: true,
        timeoutMs: 1,
        onTimeout: 'kill',
      },
      ...{ autoResume: false, pausedRetentionMs: 1 },
    };
  }

  /** The sandbox runs, in the slot that the agent of this scene answers at. */
  async running(generation = 1): Promise<void> {
    await mkdir(this.sandbox.memoryDirectory, { recursive: true });
    await mkdir(this.sandbox.deviceStateDirectory, { recursive: true });
    await this.context.index.put({
      ...{ schema: 1, id: this.id, generation, phase: { name: 'running' }, templateKey: 'k', slot: FIRST_SLOT },
      ...{ memoryMiB: 512, allowInternetAccess: true, bootId: 'boot-0', view: this.view('running', generation) },
    });
    this.claims.add(FIRST_SLOT);
    this.driver.machines.set(this.machine, 'running');
  }

  files = (directory: string): Promise<string[]> => readdir(directory);

  /** Names of the sandbox's sealed files. */
  images = async (): Promise<string[]> =>
    (await readdir(this.sandbox.directory)).filter((name) => name.startsWith('image-')).sort();

  /** Into the guest's memory. */
  async write(at: number, text: string): Promise<void> {
    const memory = await open(this.sandbox.memoryFile, 'r+');
    await memory.write(text, at);
    await memory.close();
  }

  failAt(wanted: CrashPoint): void {
    this.reached = (point) => {
      if (point === wanted) throw new Error(`for a test, at ${point}`);
    };
  }

  /** A machine that runs, with a template and a memory that can be sealed: 4 MiB, all of it changed. */
  async runningWithMemory(): Promise<void> {
    await this.running();
    const memory = path.join(this.stateDir, 'template-memory');
    const deviceState = path.join(this.stateDir, 'template-device');
    await writeFile(memory, Buffer.alloc(4 * MIB, 'template'));
    await writeFile(deviceState, "the template's device state");
    this.templateFiles = { memory, deviceState, memoryMiB: 4, memoryExtents: [[0, 4 * MIB]] };
    await this.restart();
    await writeFile(this.sandbox.memoryFile, Buffer.alloc(4 * MIB, 'guest'));
  }

  /** As after a crash of the host worker: what was in memory only is gone. */
  async restart(): Promise<void> {
    await this.#makeContext();
  }

  async stop(): Promise<void> {
    this.#agent.closeAllConnections();
    this.#agent.close();
    await removeSecret(LIBVIRT_URI, derivedUuid(this.id, 'secret'));
    await rm(this.stateDir, { recursive: true, force: true });
  }

  async #makeContext(): Promise<void> {
    const log = pino({ level: 'silent' });
    const masterKey = await fileMasterKey(path.join(this.stateDir, 'master.key'));
    const { claims } = this;
    const slots = {
      claim: async () => {
        claims.add(FIRST_SLOT);
        return FIRST_SLOT;
      },
      of: async () => [...claims],
      release: async (slot: number) => void claims.delete(slot),
    };
    const template = {
      ...{ key: 'k', memoryMiB: 512, accelerator: 'tcg', disk: 'd', memory: 'm' },
      ...this.templateFiles,
    } as Template;
    this.context = {
      ...{ libvirtUri: LIBVIRT_URI, uidBase: 1_000_000, gid: 0, reserved: { memoryMiB: 0, diskMiB: 0 } },
      pool: { claim: (_key: string, _base: string, file: string) => this.#makeOverlay(file) },
      memories: { heldMiB: 0, keep: () => undefined, claim: async () => false, giveUp: async () => false },
      ...{ driver: this.driver, traffic: this.traffic, masterKey, slots, log, locks: new SandboxLocks() },
      index: await SandboxIndex.load(this.paths, masterKey.derive('manifests'), log),
      journal: new Journal(this.paths),
      reached: (point: CrashPoint) => this.reached(point),
      discarded: {
        discard: (file: string) => rm(file, { recursive: true, force: true }),
        settled: async () => false,
        heldMiB: 0,
      },
      guard: { setInternet: async () => {}, forget: async () => {} },
      makeRoom: () => Promise.resolve(false),
      onCrash: this.onCrash,
      life: {
        answersWithinMs: this.answersWithinMs,
        heard: (id: string) => void this.heard.push(id),
        boots: (id: string) => void this.booted.push(id),
        crashed: () => this.crash,
        howItEnded: () => this.howItEnded,
      },
      template: (key: string) => Promise.resolve(key === 'k' ? template : undefined),
    } as unknown as HostContext;
  }

  async #makeOverlay(file: string): Promise<Buffer> {
    await writeFile(file, 'disk');
    return newSandboxKey();
  }

  async #listen(): Promise<void> {
    this.#agent = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        if (this.agentIsSilent) return;
        const url = request.url ?? '';
        this.asked.push({ path: url, body, token: request.headers['x-access-token'] as string | undefined });
        const answer = url === '/init' ? JSON.stringify({ bootId: this.bootId, envdVersion: '0.6.4' }) : undefined;
        const refused = this.knownToken !== undefined && request.headers['x-access-token'] !== this.knownToken;
        response
          .writeHead(this.agentSays[url] ?? (refused ? 401 : answer === undefined ? 204 : 200))
          .end(refused ? undefined : answer);
      });
    });
    await new Promise<void>((resolve) => this.#agent.listen(AGENT_PORT, slotAddress(FIRST_SLOT), resolve));
  }
}
