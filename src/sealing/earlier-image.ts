import { FormatError } from './image-error.js';
import { openImageFile, type Identity, type ImageFile } from './image-file.js';
import type { FileEntry, PartEntry } from './image-table.js';
import { openEarlierFiles, readTable } from './read-table.js';
import { reusableParts } from './reuse.js';

/** The newest earlier image of the same sandbox, whose files are still there. */
export interface EarlierImage {
  generation: number;
  digest: string;
  /** Where the file of a generation is. */
  pathOf: (generation: number) => string;
}

/** What a new image can refer to. */
export interface Reusable {
  files: FileEntry[];
  /** By the number of the part; their `file` counts in `files`. */
  parts: Map<number, PartEntry>;
}

/**
 * Reads and authenticates the table of an earlier image. Whatever is wrong with it costs time and space only: then
 * everything is stored anew.
 *
 * @returns undefined if it cannot be built on: missing, damaged, of format version 1, of another template, not earlier
 */
export async function readEarlier(
  earlier: EarlierImage,
  imageKey: Buffer,
  now: Identity,
): Promise<Reusable | undefined> {
  // What has the generation of the image that is being made may be what an earlier attempt left: it will be replaced.
  if (earlier.generation >= now.generation) return undefined;
  const opened: ImageFile[] = [];
  try {
    const own = await openImageFile(earlier.pathOf(earlier.generation), imageKey, {
      ...now,
      generation: earlier.generation,
    });
    opened.push(own);
    if (own.header.formatVersion === 1) return undefined;
    const table = await readTable(own, earlier.digest);
    const files = await openEarlierFiles(own, table, imageKey, earlier.pathOf, opened);
    return {
      files: table.files,
      parts: reusableParts(
        table,
        files.map(({ size }) => size),
      ),
    };
  } catch (error) {
    if (error instanceof FormatError || (error as NodeJS.ErrnoException).code !== undefined) return undefined;
    throw error;
  } finally {
    await Promise.all(opened.map(({ handle }) => handle.close()));
  }
}
