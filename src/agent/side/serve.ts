import { lstat, type FileHandle } from 'node:fs/promises';
import { PassThrough } from 'node:stream';
import type { ByteRange } from '../files/byte-ranges.js';
import { openToRead } from '../files/open-file.js';
import { readPieces } from '../files/read-pieces.js';
import { writeFileAs } from '../files/write-file.js';
import { fileCalls } from '../filesystem/file-calls.js';
import { watchHere, type Watching, type WatchRequest } from '../filesystem/watch/watch-events.js';
import type { Metadata } from '../metadata.js';
import type { User } from '../users.js';
import { toWire, type Reply } from './wire.js';

const ALIVE_EVERY_MS = 2_000;
const LONGEST_REMOVAL_MS = 60_000;

const say = (reply: Reply): void => void process.send?.(reply);

/** Serves the calls of the agent that has started this process, until the agent is gone. */
export function serveSideCalls(): void {
  process.once('disconnect', () => process.exit());
  process.on('message', ({ name, args }: { name: string; args: unknown[] }) => {
    const call = calls[name];
    let said = performance.now();
    const alive = (): void => {
      if (performance.now() - said < ALIVE_EVERY_MS) return;
      said = performance.now();
      say({ kind: 'alive' });
    };
    Promise.resolve()
      .then(() => call!(alive, ...args))
      .then(
        (value) => say({ kind: 'value', value }),
        (error: unknown) => say({ kind: 'error', error: toWire(error) }),
      );
  });
}

let upload: { body: PassThrough; written: Promise<void> } | undefined;
let watching: Watching | undefined;
let download: { handle: FileHandle; pieces?: AsyncIterator<Buffer> } | undefined;

// The arguments come from this very program.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
const calls: Record<string, (alive: () => void, ...args: any[]) => unknown> = {
  describe: (_alive, file: string) => fileCalls.describe(file),
  list: (alive, directory: string, depth: number) => fileCalls.list(directory, depth, { onTurn: alive }),
  async makeDirectory(_alive, file: string, user: User) {
    await fileCalls.makeDirectory(file, user);
    return fileCalls.describe(file);
  },
  async move(_alive, source: string, destination: string, user: User) {
    await fileCalls.move(source, destination, user);
    return fileCalls.describe(destination);
  },
  async remove(alive, file: string) {
    // A file system that does not even say what is there is not given the time of a large tree.
    await lstat(file).catch(() => undefined);
    const began = performance.now();
    const timer = setInterval(() => {
      if (performance.now() - began < LONGEST_REMOVAL_MS) alive();
    }, ALIVE_EVERY_MS);
    await fileCalls.remove(file).finally(() => clearInterval(timer));
  },
  async watch(_alive, directory: string, request: WatchRequest) {
    watching = await watchHere(directory, request, (event) => say({ kind: 'event', event }), fileCalls);
  },
  watchFlush: () => watching!.flush(),
  isDirectory: (_alive, file: string) => fileCalls.isDirectory(file),
  isExecutable: (_alive, file: string) => fileCalls.isExecutable(file),

  upload(_alive, file: string, user: User, metadata: Metadata) {
    const body = new PassThrough();
    body.on('error', () => undefined);
    upload = { body, written: writeFileAs(file, body, user, metadata) };
    upload.written.catch(() => undefined);
  },
  async uploadPart(_alive, bytes: Uint8Array) {
    const { body, written } = upload!;
    const taken = new Promise<void>((resolve) => body.write(bytes, () => resolve()));
    await Promise.race([taken, written]);
  },
  async uploadEnd() {
    upload!.body.end();
    await upload!.written;
  },
  async uploadBreak(_alive, message: string) {
    upload!.body.destroy(new Error(message));
    await upload!.written.catch(() => undefined);
  },

  async download(_alive, file: string) {
    const { handle, found } = await openToRead(file);
    download = { handle };
    return { size: found.size, modifiedMs: found.mtimeMs };
  },
  downloadFrom(_alive, range: ByteRange | undefined) {
    download!.pieces = readPieces(download!.handle, range);
  },
  async downloadPart() {
    const next = await download!.pieces!.next();
    return next.done === true ? undefined : next.value;
  },
  async downloadEnd() {
    await download?.handle.close();
    download = undefined;
  },
};
