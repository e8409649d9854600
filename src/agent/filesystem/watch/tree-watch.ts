import { readdirSync } from 'node:fs';
import path from 'node:path';
import { EventType } from '../../../gen/filesystem/filesystem_pb.js';
import { isDraftName } from '../../draft-name.js';
import { IN, inotify, type InotifyListener, type KernelEvent } from './inotify.js';
import { Uploads } from './uploads.js';

export interface Change {
  file: string;
  type: EventType;
}

interface Watched {
  path: string;
  /** Entries that were told when the directory was found, with the number of the first event after that. */
  told: { names: Set<string>; until: number } | undefined;
}

/** One event of the kernel is one change; as the agent that clients were written against has it. */
const TYPES: [bits: number, type: EventType][] = [
  [IN.CREATE | IN.MOVED_TO, EventType.CREATE],
  [IN.MOVED_FROM | IN.MOVE_SELF, EventType.RENAME],
  [IN.ATTRIB, EventType.CHMOD],
  [IN.MODIFY, EventType.WRITE],
  [IN.DELETE | IN.DELETE_SELF, EventType.REMOVE],
];

/** What became of a directory that was found, or is as deep as no path reaches. */
const SKIPPED = ['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG'];

/** Watches a directory, or the tree under it. */
export class TreeWatch implements InotifyListener {
  readonly #watched = new Map<number, Watched>();
  readonly #uploads = new Uploads((file, type) => this.#tell(file, type));
  /** Directories that are half moved, by cookie. */
  readonly #moving = new Map<number, string>();
  readonly #root: number;
  #pending: Change[] = [];

  constructor(
    root: string,
    private readonly recursive: boolean,
    private readonly onChanges: (changes: Change[]) => void,
    /** Whether a look at it waits for nobody; it would hold everything up. */
    private readonly mayLook: (file: string) => boolean = () => true,
  ) {
    this.#root = this.#add(root);
    try {
      if (recursive) this.#addUnder(root);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    for (const wd of this.#watched.keys()) inotify.remove(wd, this);
    this.#watched.clear();
  }

  /** Tells what has happened so far. */
  flush(): void {
    inotify.readNow();
    this.#handOver();
  }

  onKernelEvent(event: KernelEvent): void {
    const watched = this.#watched.get(event.wd);
    if (watched === undefined) return;
    if (event.name === '') return this.#happenedTo(watched, event);
    const file = path.join(watched.path, event.name);
    // It was found, and told, when its directory was looked through.
    const { told } = watched;
    const isKnown = told !== undefined && event.number < told.until && told.names.delete(event.name);
    if (this.#uploads.take(file, event, isKnown)) return;
    if (isKnown && (event.mask & (IN.CREATE | IN.MOVED_TO)) !== 0) return;
    this.#tellOf(file, event.mask);
    if (this.recursive && (event.mask & IN.ISDIR) !== 0) this.#directoryAppearedOrWent(file, event);
  }

  /** To the directory itself. What happens to one under the root is told by its parent's watch, and once is enough. */
  #happenedTo({ path: directory }: Watched, { wd, mask }: KernelEvent): void {
    const isRoot = wd === this.#root;
    if ((mask & IN.IGNORED) !== 0) this.#watched.delete(wd);
    else if (isRoot) this.#tellOf(directory, mask);
    else if ((mask & IN.MOVE_SELF) !== 0) this.#dropIfMovedOut(directory);
    // Where it is now, nobody knows.
    if (isRoot && (mask & IN.MOVE_SELF) !== 0) this.close();
  }

  #directoryAppearedOrWent(file: string, { mask, cookie }: KernelEvent): void {
    if ((mask & IN.MOVED_FROM) !== 0 && this.#under(file).length > 0) this.#moving.set(cookie, file);
    if ((mask & (IN.CREATE | IN.MOVED_TO)) === 0) return;
    const from = this.#moving.get(cookie);
    if (cookie === 0 || from === undefined) return this.#tellAll(file);
    this.#moving.delete(cookie);
    for (const watched of this.#under(from)) watched[1].path = file + watched[1].path.slice(from.length);
  }

  #dropIfMovedOut(directory: string): void {
    const [cookie] = [...this.#moving].find(([, from]) => from === directory) ?? [];
    if (cookie === undefined) return;
    this.#moving.delete(cookie);
    for (const [wd] of this.#under(directory)) {
      this.#watched.delete(wd);
      inotify.remove(wd, this);
    }
  }

  #under = (directory: string): [number, Watched][] =>
    [...this.#watched].filter(([, { path: at }]) => at === directory || at.startsWith(`${directory}/`));

  #add(directory: string, flags = 0): number {
    const wd = inotify.add(directory, this, flags);
    this.#watched.set(wd, { path: directory, told: undefined });
    return wd;
  }

  /** A new directory: what was put into it before it was watched is told now. */
  #tellAll(directory: string): void {
    try {
      this.#addBelow(directory, (file) => {
        if (!isDraftName(path.basename(file))) this.#tell(file, EventType.CREATE);
      });
    } catch (error) {
      console.error('a new directory is not watched', error);
    }
  }

  /** Watches `directory`, if it is still there, before it looks, so that nothing falls between. */
  #addBelow(directory: string, onFound: ((file: string) => void) | undefined): void {
    if (!this.mayLook(directory)) return;
    try {
      const wd = this.#add(directory, IN.DONT_FOLLOW);
      const first = inotify.collected;
      const names = this.#addUnder(directory, onFound);
      inotify.collect();
      const until = inotify.collected;
      if (onFound !== undefined && until > first) this.#watched.get(wd)!.told = { names: new Set(names), until };
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (!SKIPPED.includes(code ?? '')) throw error;
    }
  }

  /** @returns the names in the directory. */
  #addUnder(directory: string, onFound?: (file: string) => void): string[] {
    const entries = readdirSync(directory, { withFileTypes: true });
    for (const entry of entries) {
      const file = path.join(directory, entry.name);
      onFound?.(file);
      if (entry.isDirectory()) this.#addBelow(file, onFound);
    }
    return entries.map(({ name }) => name);
  }

  #tellOf(file: string, mask: number): void {
    for (const [bits, type] of TYPES) if ((mask & bits) !== 0) this.#tell(file, type);
  }

  #tell(file: string, type: EventType): void {
    this.#pending.push({ file, type });
    if (this.#pending.length === 1) queueMicrotask(() => this.#handOver());
  }

  #handOver(): void {
    const changes = this.#pending;
    this.#pending = [];
    if (changes.length > 0) this.onChanges(changes);
  }
}
