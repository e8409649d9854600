import { closeSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { toJson } from '@bufbuild/protobuf';
import type { Server } from 'node:http';
import { Socket } from 'node:net';
import { ProcessConfigSchema } from '../../gen/process/process_pb.js';
import type { AgentState } from '../agent-state.js';
import type { Entry } from '../process/process-table.js';
import type { Running } from '../process/running.js';
import type { ReseedWatch } from '../reseed.js';
import { DescriptorStore } from './descriptor-store.js';
import { BOOT_ID, readRecord, startTimeOf, writeRecord, type AgentRecord, type ProcessRecord } from './record.js';

/** A command that has ended by then needs no record: most do, and somebody waits for the first one. */
const WRITTEN_AFTER_MS = 100;
const LISTENING = 'listening';
const LEFT = 'left-';

/** What an agent leaves to the one that is started when it has died: its state, its processes, its open ends of them. */
export class Survival {
  /** What the agent before this one left. */
  readonly before: AgentRecord | undefined;
  readonly #passed: Map<string, number>;
  readonly #store: DescriptorStore;
  readonly #processes = new Map<number, ProcessRecord>();
  #timer: NodeJS.Timeout | undefined;
  #state: AgentState | undefined;

  /**
   * @param directory on tmpfs, of the agent alone
   * @param env as systemd made it
   */
  constructor(
    private readonly directory: string,
    private readonly reseeds: ReseedWatch,
    env: NodeJS.ProcessEnv,
  ) {
    this.#passed = DescriptorStore.takePassed(env);
    this.#store = new DescriptorStore(env['NOTIFY_SOCKET']);
    this.before = readRecord(directory);
    if (this.before !== undefined) reseeds.restore(this.before.reseed);
  }

  /** Whose changes are kept. */
  ofState(state: AgentState): void {
    this.#state = state;
  }

  /** To be called whenever the state or a process has changed. Does not write at once. */
  changed(): void {
    this.#timer ??= setTimeout(() => this.#write(), WRITTEN_AFTER_MS);
  }

  /** A command that has just been started. */
  follow(entry: Entry, user: string, killAtMs: number | undefined): void {
    const kept = new Set<string>();
    const timer = setTimeout(() => this.#keep(entry, user, killAtMs, kept), WRITTEN_AFTER_MS);
    entry.running.output.onEnd(() => clearTimeout(timer));
    this.#forgetInTime(entry.running, kept);
  }

  /** A process of the agent before this one. systemd has its open ends already: what closes one has to reach systemd from the start. */
  goOn(entry: Entry, user: string, killAtMs: number | undefined): void {
    const kept = new Set<string>();
    this.#keep(entry, user, killAtMs, kept);
    this.#forgetInTime(entry.running, kept);
  }

  #keep({ running, config, tag }: Entry, user: string, killAtMs: number | undefined, kept: Set<string>): void {
    const { pid, terminal } = running;
    for (const [end, descriptor] of Object.entries(running.descriptors())) {
      if (descriptor === undefined) continue;
      kept.add(end);
      this.#store.keep(nameOf(pid, end), descriptor);
    }
    const startTime = startTimeOf(pid);
    if (startTime === undefined) return;
    const asJson = toJson(ProcessConfigSchema, config);
    this.#processes.set(pid, { pid, startTime, config: asJson, tag, user, terminal, killAtMs });
    this.#write();
  }

  #forgetInTime(running: Running, kept: Set<string>): void {
    running.onInputClosed(() => {
      if (kept.delete('stdin')) this.#store.forget(nameOf(running.pid, 'stdin'));
    });
    running.output.onEnd(() => {
      for (const end of kept) this.#store.forget(nameOf(running.pid, end));
      this.#keepLeft(running);
      if (this.#processes.delete(running.pid)) this.changed();
    });
  }

  /** Outputs of a process that has ended; programs in the background still have them. */
  #keepLeft(running: Running): void {
    const { stdout, stderr } = running.descriptors();
    const names = [stdout, stderr].flatMap((descriptor) => {
      if (descriptor === undefined) return [];
      // The number of the process can be another's by the time when these are closed.
      const name = LEFT + randomUUID();
      this.#store.keep(name, descriptor);
      return [name];
    });
    if (names.length > 0) void running.outputsClosed.then(() => names.forEach((name) => this.#store.forget(name)));
  }

  /** The open ends of a process of the agent before this one; each is given once. */
  takeDescriptor(pid: number, end: string): number | undefined {
    return this.#take(nameOf(pid, end));
  }

  /**
   * Listens on the socket of the agent before this one: who came meanwhile waits there. Ends what has no record, but
   * reads on from what programs in the background print.
   */
  listen(server: Server, port: number, host: string): void {
    const fd = this.#take(LISTENING);
    if (fd !== undefined) server.listen({ fd });
    else server.listen(port, host);
    this.#closeRest();
    server.once('listening', () => {
      const { _handle: handle } = server as Server & { _handle?: { fd?: number } };
      if (handle?.fd !== undefined && handle.fd >= 0) this.#store.keep(LISTENING, handle.fd);
    });
  }

  #closeRest(): void {
    for (const [name, descriptor] of this.#passed) {
      if (name.startsWith(LEFT)) {
        const left = new Socket({ fd: descriptor, readable: true, writable: false }).resume();
        left.on('error', () => undefined).once('close', () => this.#store.forget(name));
        continue;
      }
      closeSync(descriptor);
      this.#store.forget(name);
    }
    this.#passed.clear();
  }

  #take(name: string): number | undefined {
    const descriptor = this.#passed.get(name);
    this.#passed.delete(name);
    return descriptor;
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#state?.accessToken === undefined) return;
    const reseed = this.reseeds.taken();
    const processes = [...this.#processes.values()];
    try {
      writeRecord(this.directory, { bootId: BOOT_ID, state: this.#state, reseed, processes });
    } catch (error) {
      console.error('the record cannot be written', error);
    }
  }
}

const nameOf = (pid: number, end: string): string => `${pid}-${end}`;
