import { lstat, readlink, realpath, stat } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import path from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { FileType, type EntryInfoSchema } from '../../gen/filesystem/filesystem_pb.js';
import { readMetadata } from '../metadata.js';
import { readNames, type Names } from '../users.js';

export type EntryInfoInit = MessageInitShape<typeof EntryInfoSchema>;

/**
 * Describes what is at `file` itself; of a link, with the type of what it leads to.
 * @param links `stay` where what they lead to does not answer: described like those that lead to nothing
 */
export async function entryInfo(
  file: string,
  names?: Names,
  links: 'follow' | 'stay' = 'follow',
): Promise<EntryInfoInit> {
  const { userName, groupName } = names ?? (await readNames());
  const found = await lstat(file);
  const mode = found.mode & 0o7777;
  return {
    name: path.basename(file),
    type: typeOf(found),
    path: file,
    size: BigInt(found.size),
    mode,
    permissions: permissions(found),
    owner: userName(found.uid),
    group: groupName(found.gid),
    modifiedTime: timestampFromMs(Math.trunc(found.mtimeMs)),
    ...(found.isSymbolicLink() ? await link(file, links) : { metadata: await readMetadata(file) }),
  };
}

/** A dangling link is all that stays a link: older clients do not know that type and skip it. */
async function link(
  file: string,
  links: 'follow' | 'stay',
): Promise<Pick<EntryInfoInit, 'type' | 'symlinkTarget' | 'isSymlink'>> {
  if (links === 'stay') return { type: FileType.SYMLINK, symlinkTarget: await readlink(file), isSymlink: true };
  try {
    const [target, symlinkTarget] = await Promise.all([stat(file), realpath(file)]);
    return { type: typeOf(target), symlinkTarget, isSymlink: true };
  } catch {
    return link(file, 'stay');
  }
}

function typeOf(found: Stats): FileType {
  if (found.isDirectory()) return FileType.DIRECTORY;
  return found.isFile() ? FileType.FILE : FileType.UNSPECIFIED;
}

export function permissions(found: Pick<Stats, 'mode'>): string {
  const bits = [...'rwxrwxrwx'].map((letter, index) => (found.mode & (0o400 >> index) ? letter : '-')).join('');
  return (KIND_LETTERS[found.mode & 0o170000] ?? '?') + bits;
}

const KIND_LETTERS: Record<number, string> = {
  0o010000: 'p',
  0o020000: 'c',
  0o040000: 'd',
  0o060000: 'b',
  0o100000: '-',
  0o120000: 'l',
  0o140000: 's',
};
