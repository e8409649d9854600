import { lstatSync, readlinkSync, realpathSync, statSync, type Stats } from 'node:fs';
import path from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { FileType, type EntryInfoSchema } from '../../gen/filesystem/filesystem_pb.js';
import { readMetadata } from '../metadata.js';
import type { Names } from '../users.js';

export type EntryInfoInit = MessageInitShape<typeof EntryInfoSchema>;

/**
 * Describes what is at `file` itself; of a link, with the type of what it leads to. By calls that hold everything up: not for
 * what may wait (`mounts/locate`).
 * @param links `stay` where what they lead to does not answer: described like those that lead to nothing
 */
export function entryInfo(
  file: string,
  { userName, groupName }: Names,
  links: 'follow' | 'stay' = 'follow',
): EntryInfoInit {
  const found = lstatSync(file);
  const entry: EntryInfoInit = {
    name: nameOf(file),
    type: typeOf(found),
    path: file,
    size: BigInt(found.size),
    mode: found.mode & 0o7777,
    permissions: permissions(found.mode),
    owner: userName(found.uid),
    group: groupName(found.gid),
    modifiedTime: timestamp(Math.min(Math.max(Math.trunc(found.mtimeMs), EARLIEST), LATEST)),
  };
  if (found.isSymbolicLink()) return Object.assign(entry, link(file, links));
  entry.metadata = readMetadata(file);
  return entry;
}

/** Of thousands of files: `path.basename` looks at each character. */
function nameOf(file: string): string {
  const slash = file.lastIndexOf('/');
  return slash === file.length - 1 ? path.basename(file) : file.slice(slash + 1);
}

/** As plain data: a message takes longer to make than the call that asks for the file's time. */
function timestamp(ms: number): NonNullable<EntryInfoInit['modifiedTime']> {
  const seconds = Math.floor(ms / 1000);
  return { seconds: BigInt(seconds), nanos: (ms - seconds * 1000) * 1e6 };
}

/** What a timestamp can say. */
const EARLIEST = Date.parse('0001-01-01T00:00:00Z');
const LATEST = Date.parse('9999-12-31T23:59:59Z');

/** A dangling link is all that stays a link: older clients do not know that type and skip it. */
function link(file: string, links: 'follow' | 'stay'): Pick<EntryInfoInit, 'type' | 'symlinkTarget' | 'isSymlink'> {
  if (links === 'stay') return { type: FileType.SYMLINK, symlinkTarget: readlinkSync(file), isSymlink: true };
  try {
    return { type: typeOf(statSync(file)), symlinkTarget: realpathSync.native(file), isSymlink: true };
  } catch {
    return link(file, 'stay');
  }
}

function typeOf(found: Stats): FileType {
  if (found.isDirectory()) return FileType.DIRECTORY;
  return found.isFile() ? FileType.FILE : FileType.UNSPECIFIED;
}

const permissions = (mode: number): string =>
  (KIND_LETTERS[mode & 0o170000] ?? '?') + threeLetters(mode >> 6) + threeLetters(mode >> 3) + threeLetters(mode);

const threeLetters = (bits: number): string => PERMISSION_LETTERS[bits & 7]!;

const PERMISSION_LETTERS = ['---', '--x', '-w-', '-wx', 'r--', 'r-x', 'rw-', 'rwx'];

const KIND_LETTERS: Record<number, string> = {
  0o010000: 'p',
  0o020000: 'c',
  0o040000: 'd',
  0o060000: 'b',
  0o100000: '-',
  0o120000: 'l',
  0o140000: 's',
};
