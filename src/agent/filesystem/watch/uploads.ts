import path from 'node:path';
import { EventType } from '../../../gen/filesystem/filesystem_pb.js';
import { isDraftName, replacesFile } from '../../draft-name.js';
import { IN, type KernelEvent } from './inotify.js';

/** Events of uploads, which are written beside their file: told as if they were written into it. */
export class Uploads {
  /** Drafts into which something was written. */
  readonly #written = new Set<string>();
  /** Drafts on their way to be the file, by the cookie of the move. */
  readonly #ready = new Map<number, { replaces: boolean; isWritten: boolean }>();

  constructor(private readonly tell: (file: string, type: EventType) => void) {}

  /** @param isKnown whether the file was told already. @returns whether the event is of an upload. */
  take(file: string, { mask, cookie }: KernelEvent, isKnown: boolean): boolean {
    const ready = cookie === 0 ? undefined : this.#ready.get(cookie);
    if (ready !== undefined && (mask & IN.MOVED_TO) !== 0) {
      this.#ready.delete(cookie);
      if (!ready.replaces && !isKnown) this.tell(file, EventType.CREATE);
      this.tell(file, EventType.CHMOD);
      if (ready.replaces || ready.isWritten) this.tell(file, EventType.WRITE);
      return true;
    }
    const name = path.basename(file);
    if (!isDraftName(name)) return false;
    if ((mask & IN.MODIFY) !== 0) this.#written.add(file);
    if ((mask & (IN.MOVED_FROM | IN.DELETE)) !== 0) {
      const isWritten = this.#written.delete(file);
      if (cookie !== 0) this.#ready.set(cookie, { replaces: replacesFile(name), isWritten });
    }
    return true;
  }
}
