import { randomBytes } from 'node:crypto';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Logger } from '../log.js';

const MIB = 1024 * 1024;
const LOOK_AGAIN_AFTER_MS = 250;
const AFTER_TROUBLE_MS = 30_000;

/** What of a template the pool has to know. */
export interface PooledTemplate {
  key: string;
  createdAt: number;
  memoryMiB: number;
}

interface Entry {
  file: string;
  key: string;
  mib: number;
}

/**
 * Copies of the newest template's memory, made ahead of time in tmpfs while the host has nothing else to do: a copy that is
 * made during a create or resume takes the cores that QEMU starts on. An entry is claimed by one rename.
 */
export class MemoryPool<T extends PooledTemplate = PooledTemplate> {
  #wanted: T | undefined;
  #ready: Entry[] = [];
  #restsUntil = 0;
  #copying: { abort: AbortController; done: Promise<void> } | undefined;
  #next: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(
    private readonly options: {
      /** On the filesystem of the memory files; its content is this pool's alone. */
      directory: string;
      size: number;
      isIdle: () => boolean;
      /** Whether so much memory (MiB) may be kept for nothing in particular. */
      hasRoom: (mib: number) => Promise<boolean>;
      copy: (template: T, file: string, signal: AbortSignal) => Promise<void>;
      log: Logger;
    },
  ) {}

  /** Removes what an earlier process left, and begins to keep copies of `template`, if it is the newest so far. */
  async open(template: T | undefined): Promise<void> {
    await rm(this.options.directory, { recursive: true, force: true });
    await mkdir(this.options.directory, { mode: 0o700 });
    if (template !== undefined) this.keep(template);
  }

  keep(template: T): void {
    if (this.#wanted !== undefined && this.#wanted.createdAt >= template.createdAt) return;
    this.#wanted = template;
    this.#lookAfter(LOOK_AGAIN_AFTER_MS);
  }

  /** Moves a copy of the template's memory to `memoryFile`. @returns whether there was one. */
  async claim(templateKey: string, memoryFile: string): Promise<boolean> {
    this.#copying?.abort.abort(new Error('a machine is being started'));
    this.#lookAfter(LOOK_AGAIN_AFTER_MS);
    const at = this.#ready.findIndex(({ key }) => key === templateKey);
    const [entry] = at < 0 ? [] : this.#ready.splice(at, 1);
    if (entry === undefined) return false;
    await rename(entry.file, memoryFile);
    return true;
  }

  /** Memory that the copies take up, MiB. */
  get heldMiB(): number {
    return this.#ready.reduce((sum, { mib }) => sum + mib, 0);
  }

  /** Memory is short: gives all copies back, and makes none for a while. @returns whether there were any, finished or not. */
  async giveUp(): Promise<boolean> {
    this.#rest();
    const copying = this.#copying;
    copying?.abort.abort(new Error('memory is short'));
    await copying?.done;
    this.#lookAfter(AFTER_TROUBLE_MS);
    return (await this.#remove(() => true)) || copying !== undefined;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#next);
    this.#copying?.abort.abort(new Error('the host worker ends'));
    await this.#copying?.done;
  }

  #lookAfter(ms: number): void {
    clearTimeout(this.#next);
    if (this.#closed || this.options.size === 0) return;
    const delayMs = Math.max(ms, this.#restsUntil - Date.now());
    this.#next = setTimeout(() => void this.#look(), delayMs).unref();
  }

  #rest(): void {
    this.#restsUntil = Date.now() + AFTER_TROUBLE_MS;
  }

  async #look(): Promise<void> {
    const template = this.#wanted;
    if (template === undefined || this.#ready.filter(({ key }) => key === template.key).length >= this.options.size) {
      return;
    }
    if (this.#copying === undefined && this.options.isIdle()) {
      const abort = new AbortController();
      const done = this.#add(template, abort.signal).catch((error: unknown) => {
        if (abort.signal.aborted) return;
        this.#rest();
        this.options.log.warn({ err: error }, 'memory could not be copied ahead of time; it is tried again later');
      });
      this.#copying = { abort, done };
      await done;
      this.#copying = undefined;
    }
    this.#lookAfter(LOOK_AGAIN_AFTER_MS);
  }

  async #add(template: T, signal: AbortSignal): Promise<void> {
    if (!(await this.options.hasRoom(template.memoryMiB))) return this.#rest();
    await this.#remove(({ key }) => key !== template.key);
    const file = path.join(this.options.directory, `${template.key}.${randomBytes(8).toString('hex')}`);
    const draft = `${file}.draft`;
    try {
      await this.options.copy(template, draft, signal);
      const mib = Math.ceil(((await stat(draft)).blocks * 512) / MIB);
      signal.throwIfAborted();
      await rename(draft, file);
      this.#ready.push({ file, key: template.key, mib });
    } catch (error) {
      await rm(draft, { force: true });
      throw error;
    }
  }

  async #remove(which: (entry: Entry) => boolean): Promise<boolean> {
    const gone = this.#ready.filter(which);
    this.#ready = this.#ready.filter((entry) => !which(entry));
    await Promise.all(gone.map(({ file }) => rm(file, { force: true })));
    return gone.length > 0;
  }
}
