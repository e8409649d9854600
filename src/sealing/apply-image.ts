import type { ImageFile } from './image-file.js';
import { PART_BYTES, type ImageTable, type PartEntry } from './image-table.js';
import { MAX_OPEN_BYTES, type SourceFile } from './open-parts.js';
import { runJobs } from './run-jobs.js';
import type { SealPool } from './worker-pool.js';

/** A task takes parts of this much memory; their frames are then well below MAX_OPEN_BYTES. */
const TASK_BYTES = Math.floor(MAX_OPEN_BYTES / 2);

/** Applies the parts of an image of format version 2, and collects its device state. Threads read the files themselves. */
export async function applyImage(
  files: readonly ImageFile[],
  table: ImageTable,
  outputs: { memoryFd: number; deviceState: SharedArrayBuffer },
  pool: SealPool,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { memoryBytes } = files[0]!.header;
  const { memoryFd, deviceState } = outputs;
  const sources = files.map(({ path, handle, key, headerHash }): SourceFile => ({
    path,
    fd: handle.fd,
    key,
    headerHash,
  }));
  function* allJobs(): Generator<() => Promise<void>> {
    for (const [number, frame] of table.device.entries()) {
      yield () => pool.run({ do: 'open-device', file: sources[0]!, frame, number, deviceState });
    }
    for (const parts of byTask(table.parts)) {
      const used = [...new Set(parts.map(({ file }) => file))];
      const named = Object.fromEntries(used.map((file) => [file, sources[file]!]));
      yield () => pool.run({ do: 'open-parts', files: named, parts, memoryFd, memoryBytes });
    }
  }
  await runJobs(allJobs(), pool.size * 2, signal);
}

function* byTask(parts: readonly PartEntry[]): Generator<PartEntry[]> {
  const count = Math.floor(TASK_BYTES / PART_BYTES);
  for (let at = 0; at < parts.length; at += count) yield parts.slice(at, at + count);
}
