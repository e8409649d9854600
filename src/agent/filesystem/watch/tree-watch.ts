import { lstatSync, readdirSync, watch, type FSWatcher, type Stats } from 'node:fs';
import path from 'node:path';
import { EventType } from '../../../gen/filesystem/filesystem_pb.js';
import { isDraftName } from '../../draft-name.js';

export interface Change {
  file: string;
  type: EventType;
}

interface Watched {
  watcher: FSWatcher;
  /** Inodes of the entries, by name. */
  inodes: Map<string, number>;
}

/**
 * Watches a directory, or the tree under it. The kernel's events as Node passes them on say only that a name appeared
 * or vanished, or that its file changed: what happened is told from the entry at that moment.
 */
export class TreeWatch {
  #directories = new Map<string, Watched>();
  #pending: Change[] = [];
  /** Of what vanished since the last flush: the change that became of it, by inode. */
  #vanished = new Map<number, Change>();

  constructor(
    root: string,
    private readonly recursive: boolean,
    private readonly onChanges: (changes: Change[]) => void,
    /** Whether a look at it waits for nobody; it would hold everything up. */
    private readonly mayLook: (file: string) => boolean = () => true,
  ) {
    this.#add(root);
  }

  close(): void {
    for (const { watcher } of this.#directories.values()) watcher.close();
    this.#directories.clear();
  }

  /** Watches before it looks, so that nothing falls between. @returns the entries found. */
  #add(directory: string): string[] {
    if (this.#directories.has(directory)) return [];
    const inodes = new Map<string, number>();
    const watcher = watch(directory, (kind, name) => {
      if (name === null || this.#directories.get(directory)?.watcher !== watcher) return;
      if (kind === 'change') this.#changed(path.join(directory, name));
      else this.#renamed(directory, name, inodes);
    });
    watcher.on('error', () => this.#drop(directory));
    this.#directories.set(directory, { watcher, inodes });
    const found: string[] = [];
    for (const name of readdirSync(directory)) {
      const file = path.join(directory, name);
      const stats = this.#lstat(file);
      if (stats === undefined) continue;
      inodes.set(name, stats.ino);
      found.push(file);
      if (this.recursive && stats.isDirectory()) found.push(...this.#add(file));
    }
    return found;
  }

  /** Forgets a directory that is gone, and those that were in it. */
  #drop(directory: string): void {
    for (const [watched, { watcher }] of this.#directories) {
      if (watched !== directory && !watched.startsWith(`${directory}/`)) continue;
      watcher.close();
      this.#directories.delete(watched);
    }
  }

  #renamed(directory: string, name: string, inodes: Map<string, number>): void {
    const file = path.join(directory, name);
    const stats = this.#lstat(file);
    const before = inodes.get(name);
    if (stats === undefined) {
      if (before === undefined) return;
      inodes.delete(name);
      this.#drop(file);
      this.#vanish(file, before);
    } else if (stats.ino !== before) {
      inodes.set(name, stats.ino);
      this.#appear(file, stats, before !== undefined);
    }
  }

  #vanish(file: string, inode: number): void {
    const change = { file, type: EventType.REMOVE };
    this.#vanished.set(inode, change);
    this.#tell(change);
  }

  #appear(file: string, stats: Stats, replaces: boolean): void {
    const from = this.#vanished.get(stats.ino);
    if (from !== undefined) from.type = EventType.RENAME;
    const uploaded = from !== undefined && isDraftName(path.basename(from.file));
    if (!uploaded || !replaces) this.#tell({ file, type: EventType.CREATE });
    if (uploaded) this.#tell({ file, type: EventType.WRITE });
    if (!this.recursive || !stats.isDirectory()) return;
    // What was put into a new directory before it was watched; a moved one was known already.
    const inside = this.#addNew(file);
    if (from === undefined) for (const each of inside) this.#tell({ file: each, type: EventType.CREATE });
  }

  #addNew(directory: string): string[] {
    try {
      return this.#add(directory);
    } catch {
      this.#drop(directory);
      return [];
    }
  }

  /** Writing sets both times, changing mode or owner only one. */
  #changed(file: string): void {
    const stats = this.#lstat(file);
    if (stats === undefined) return;
    this.#tell({ file, type: stats.mtimeMs === stats.ctimeMs ? EventType.WRITE : EventType.CHMOD });
  }

  #lstat(file: string): Stats | undefined {
    return this.mayLook(file) ? lstat(file) : undefined;
  }

  /** A tick later: the two halves of a rename come one after the other. */
  #tell(change: Change): void {
    this.#pending.push(change);
    if (this.#pending.length > 1) return;
    setImmediate(() => {
      const changes = this.#pending.filter(({ file }) => !isDraftName(path.basename(file)));
      this.#pending = [];
      this.#vanished.clear();
      if (changes.length > 0) this.onChanges(changes);
    });
  }
}

function lstat(file: string): Stats | undefined {
  try {
    return lstatSync(file);
  } catch {
    return undefined;
  }
}
