import { MAX_FILES, type ImageTable, type PartEntry } from './image-table.js';

/** How far an image may lean on files of earlier ones. */
export const REUSE_LIMITS = {
  /** Files of an image, its own included. */
  files: MAX_FILES,
  /** A file may hold this much that no image refers to any more, bytes, however small it is, … */
  deadBytes: 1024 * 1024,
  /** … and this share of its size, however large. */
  deadShare: 0.5,
} as const;

/**
 * Which parts of an earlier image a new one may refer to, should they not have changed. What stands in a file that is
 * mostly dead is stored anew, so that the file can go.
 *
 * @param sizes of the files of the table, bytes
 */
export function reusableParts({ parts }: ImageTable, sizes: readonly number[]): Map<number, PartEntry> {
  const live = sizes.map(() => 0);
  for (const { file, length } of parts) live[file]! += length;
  const dead = (file: number): number => sizes[file]! - live[file]!;
  const kept = sizes
    .map((_, file) => file)
    .filter((file) => dead(file) <= Math.max(REUSE_LIMITS.deadBytes, sizes[file]! * REUSE_LIMITS.deadShare))
    .sort((a, b) => live[b]! - live[a]!)
    .slice(0, REUSE_LIMITS.files - 1);
  return new Map(parts.filter(({ file }) => kept.includes(file)).map((entry) => [entry.part, entry]));
}
