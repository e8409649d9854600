import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { EventType, type FilesystemEventSchema } from '../../../gen/filesystem/filesystem_pb.js';
import type { EntryInfoInit } from '../entry-info.js';
import { refuseNetworkMount } from './network-mount.js';
import { TreeWatch, type Change } from './tree-watch.js';

export type WatchEvent = MessageInitShape<typeof FilesystemEventSchema>;

export interface WatchRequest {
  recursive: boolean;
  includeEntry: boolean;
  allowNetworkMounts: boolean;
}

export interface Looks {
  describe: (file: string) => Promise<EntryInfoInit>;
  /** Whether a look at it waits for nobody. */
  mayLook?: (file: string) => boolean;
}

export interface Watching {
  close: () => void;
  /** Resolves when all that has happened so far was told, or took too long to look at. */
  flush: () => Promise<void>;
}

const FLUSH_MS = 4_000;

/** Watches `directory` from this process until it is closed. */
export async function watchHere(
  directory: string,
  request: WatchRequest,
  onEvent: (event: WatchEvent) => void,
  { describe, mayLook }: Looks,
): Promise<Watching> {
  const found = await stat(directory);
  if (!found.isDirectory()) throw new ConnectError(`'${directory}' is no directory`, Code.InvalidArgument);
  if (!request.allowNetworkMounts) await refuseNetworkMount(directory);
  // One after the other: an entry is looked up, and events must not overtake each other meanwhile.
  let last = Promise.resolve();
  const onChanges = (changes: Change[]): void => {
    last = last.then(async () => {
      for (const change of changes) onEvent(await eventOf(directory, change, request.includeEntry, describe));
    });
  };
  const watching = new TreeWatch(directory, request.recursive, onChanges, mayLook);
  return {
    close: () => watching.close(),
    async flush() {
      watching.flush();
      let timer: NodeJS.Timeout | undefined;
      const limit = new Promise<void>((resolve) => (timer = setTimeout(resolve, FLUSH_MS)));
      await Promise.race([last, limit]);
      clearTimeout(timer);
    },
  };
}

async function eventOf(
  directory: string,
  { file, type }: Change,
  includeEntry: boolean,
  describe: Looks['describe'],
): Promise<WatchEvent> {
  const event = { name: path.relative(directory, file) || '.', type };
  if (!includeEntry || type === EventType.REMOVE || type === EventType.RENAME) return event;
  const entry = await describe(file).catch(() => undefined);
  return entry === undefined ? event : { ...event, entry };
}
