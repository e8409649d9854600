import type { Dirent } from 'node:fs';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { Code, ConnectError } from '@connectrpc/connect';
import { FileType } from '../../gen/filesystem/filesystem_pb.js';
import type { ByteRange } from '../files/byte-ranges.js';
import { isDevice } from '../files/file-kind.js';
import { openToRead } from '../files/open-file.js';
import { begun, readPieces, type Content } from '../files/read-pieces.js';
import { uploadError, writeFileAs } from '../files/write-file.js';
import type { Metadata } from '../metadata.js';
import { locate, mountUnder } from '../mounts/locate.js';
import { currentMountsApart, isKernelType, isNetworkType, type Mount } from '../mounts/mount-table.js';
import type { SideProcess } from '../side/side-process.js';
import { onTheSide } from '../side/side-processes.js';
import { readNames, type User } from '../users.js';
import { entryInfo, type EntryInfoInit } from './entry-info.js';
import { fileCalls } from './file-calls.js';
import { watchHere, type WatchEvent, type Watching, type WatchRequest } from './watch/watch-events.js';

export const mayWait = (file: string): boolean => locate(file, 'links').apart !== undefined;

/**
 * Files at paths that users choose. What may wait for ever, as on a file system that another program serves, is done in
 * a process beside the agent, within a time; all else is done here, at once.
 */
export const userFiles = {
  async describe(file: string): Promise<EntryInfoInit> {
    // Before it is looked where the file is: nothing is waited for between that and the call itself.
    const names = await readNames();
    const { apart } = locate(file, 'links');
    if (apart === undefined) return entryInfo(file, names);
    const described = ask<EntryInfoInit>(apart, 'describe', [file], file);
    // The way to a link may be short though what it leads to does not answer.
    if (locate(file, 'parents').apart !== undefined) return described;
    return described.catch(() => entryInfo(file, names, 'stay'));
  },

  /** @param signal ends it with its reason */
  list(directory: string, depth: number, signal?: AbortSignal): Promise<EntryInfoInit[]> {
    const { apart, real } = locate(directory, 'links');
    if (apart !== undefined) return ask(apart, 'list', [directory, depth], directory, signal);
    let mounts = currentMountsApart();
    let isOneInside = mountUnder(real, mounts) !== undefined;
    const mountAt = (file: string): Mount | undefined =>
      isOneInside ? mounts.get(inPlaceOf(directory, real, file)) : undefined;
    return fileCalls.list(directory, depth, {
      signal,
      onTurn() {
        const now = currentMountsApart();
        if (now === mounts) return;
        mounts = now;
        isOneInside = mountUnder(real, mounts) !== undefined;
      },
      describe(file: string, child: Dirent) {
        if (child.isSymbolicLink()) return mayWait(file) ? userFiles.describe(file) : undefined;
        const mount = mountAt(file);
        if (mount === undefined || isKernelType(mount)) return undefined;
        return ask<EntryInfoInit>(mount, 'describe', [file], file, signal).catch(() => unknownEntry(file, child));
      },
      list(file: string, left: number) {
        const mount = mountAt(file);
        return mount === undefined ? undefined : ask<EntryInfoInit[]>(mount, 'list', [file, left], file, signal);
      },
    });
  },

  async makeDirectory(file: string, user: User): Promise<EntryInfoInit> {
    const { apart } = locate(file, 'links');
    if (apart !== undefined) return ask(apart, 'makeDirectory', [file, user], file);
    await fileCalls.makeDirectory(file, user);
    return userFiles.describe(file);
  },

  async move(source: string, destination: string, user: User): Promise<EntryInfoInit> {
    const apart = locate(source, 'parents').apart ?? locate(destination, 'parents').apart;
    if (apart !== undefined) return ask(apart, 'move', [source, destination, user], apart.point);
    await fileCalls.move(source, destination, user);
    return userFiles.describe(destination);
  },

  async remove(file: string): Promise<void> {
    const { apart, real } = locate(file, 'parents');
    const mount = apart ?? mountUnder(real);
    if (mount !== undefined) await ask(mount, 'remove', [file], file);
    else await fileCalls.remove(file);
  },

  async write(file: string, bytes: Readable, user: User, metadata: Metadata): Promise<void> {
    const { apart, found } = locate(file, 'links');
    const point = apart?.point ?? (found !== undefined && isDevice(found) ? 'devices' : undefined);
    if (point === undefined) return writeFileAs(file, bytes, user, metadata);
    await onTheSide(point, file, (side) => pass(side, file, bytes, user, metadata)).catch((error: unknown) => {
      bytes.destroy();
      throw error;
    });
  },

  /** Calls `take` with the open file. */
  async read(file: string, take: (content: Content) => Promise<void>): Promise<void> {
    const { apart } = locate(file, 'links');
    // What the kernel's own files say of their sizes is not so.
    const sized = (size: number): number | undefined =>
      size === 0 || (apart !== undefined && isKernelType(apart)) ? undefined : size;
    if (apart !== undefined) return onTheSide(apart.point, file, (side) => fetchFrom(side, file, sized, take));
    const { handle, found } = await openToRead(file);
    try {
      await take({
        ...{ size: sized(found.size), modifiedMs: found.mtimeMs },
        bytes: (range) => begun(readPieces(handle, range)),
      });
    } finally {
      await handle.close();
    }
  },

  isDirectory: (file: string): Promise<boolean> => yesOrNo('isDirectory', file),
  isExecutable: (file: string): Promise<boolean> => yesOrNo('isExecutable', file).catch(() => false),

  async watch(directory: string, request: WatchRequest, onEvent: (event: WatchEvent) => void): Promise<Watching> {
    const { apart, real } = locate(directory, 'links');
    if (apart === undefined) {
      const mayLook = (file: string): boolean => {
        const there = inPlaceOf(directory, real, file);
        for (const point of currentMountsApart().keys()) {
          if (there === point || there.startsWith(`${point}/`)) return false;
        }
        return true;
      };
      return watchHere(directory, request, onEvent, { describe: userFiles.describe, mayLook });
    }
    if (isNetworkType(apart) && !request.allowNetworkMounts) {
      throw new ConnectError(`'${directory}' is on a network file system`, Code.InvalidArgument);
    }
    const { recursive, includeEntry, allowNetworkMounts } = request;
    return new Promise((resolve, reject) => {
      onTheSide(apart.point, directory, async (side) => {
        side.onEvent = onEvent;
        await side.ask('watch', [directory, { recursive, includeEntry, allowNetworkMounts }], directory);
        await new Promise<void>((closed) => {
          resolve({
            close() {
              side.kill();
              closed();
            },
            // Of one that does not answer there is nothing more to tell.
            flush: () =>
              side.ask('watchFlush', [], directory).then(
                () => undefined,
                () => undefined,
              ),
          });
        });
      }).catch(reject);
    });
  },
};

/** The path without links of a `file` in `directory`. */
const inPlaceOf = (directory: string, real: string, file: string): string =>
  directory === real ? file : path.join(real, file.slice(directory.length));

/** @param signal ends the process that does it */
const ask = <T>({ point }: Mount, name: string, args: unknown[], about: string, signal?: AbortSignal): Promise<T> =>
  onTheSide(point, about, async (side) => {
    const end = (): void => side.kill();
    signal?.throwIfAborted();
    signal?.addEventListener('abort', end);
    const answer = (await side.ask(name, args, about).finally(() => signal?.removeEventListener('abort', end))) as T;
    return answer;
  });

async function yesOrNo(name: 'isDirectory' | 'isExecutable', file: string): Promise<boolean> {
  const { apart } = locate(file, 'links');
  return apart === undefined ? fileCalls[name](file) : ask(apart, name, [file], file);
}

/** Of a place whose file system does not answer. */
const unknownEntry = (file: string, child: Dirent): EntryInfoInit => ({
  name: child.name,
  path: file,
  type: child.isDirectory() ? FileType.DIRECTORY : FileType.UNSPECIFIED,
});

async function pass(side: SideProcess, file: string, bytes: Readable, user: User, metadata: Metadata): Promise<void> {
  await side.ask('upload', [file, user, metadata], file);
  try {
    for await (const part of bytes as AsyncIterable<Buffer>) await side.ask('uploadPart', [part], file);
  } catch (thrown) {
    const error = uploadError(thrown);
    if (side.alive) await side.ask('uploadBreak', [String(error)], file).catch(() => undefined);
    throw error;
  }
  await side.ask('uploadEnd', [], file);
}

async function fetchFrom(
  side: SideProcess,
  file: string,
  sized: (size: number) => number | undefined,
  take: (content: Content) => Promise<void>,
): Promise<void> {
  const opened = (await side.ask('download', [file], file)) as { size: number; modifiedMs: number };
  async function* parts(range: ByteRange | undefined): AsyncGenerator<Uint8Array> {
    await side.ask('downloadFrom', [range], file);
    for (;;) {
      const part = (await side.ask('downloadPart', [], file)) as Uint8Array | undefined;
      if (part === undefined) return;
      yield part;
    }
  }
  try {
    await take({ ...opened, size: sized(opened.size), bytes: (range) => begun(parts(range)) });
  } finally {
    if (side.alive) await side.ask('downloadEnd', [], file).catch(() => undefined);
  }
}
