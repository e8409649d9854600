import { FileType } from '../../gen/filesystem/filesystem_pb.js';
import type { EntryInfoInit } from './entry-info.js';

/** As the library for messages writes it: what has its default value is left out. */
export const entryJson = (entry: EntryInfoInit): object => ({
  name: entry.name || undefined,
  type: entry.type ? TYPE_NAMES[entry.type] : undefined,
  path: entry.path || undefined,
  size: entry.size ? String(entry.size) : undefined,
  mode: entry.mode || undefined,
  permissions: entry.permissions || undefined,
  owner: entry.owner || undefined,
  group: entry.group || undefined,
  modifiedTime: timeJson(entry.modifiedTime),
  symlinkTarget: entry.symlinkTarget,
  metadata: hasKeys(entry.metadata) ? entry.metadata : undefined,
  isSymlink: entry.isSymlink || undefined,
});

const TYPE_NAMES: Record<FileType, string | undefined> = {
  [FileType.UNSPECIFIED]: undefined,
  [FileType.FILE]: 'FILE_TYPE_FILE',
  [FileType.DIRECTORY]: 'FILE_TYPE_DIRECTORY',
  [FileType.SYMLINK]: 'FILE_TYPE_SYMLINK',
};

/** Times of entries are whole milliseconds. */
const timeJson = (time: EntryInfoInit['modifiedTime']): string | undefined =>
  time === undefined
    ? undefined
    : new Date(Number(time.seconds) * 1000 + (time.nanos ?? 0) / 1e6).toISOString().replace('.000Z', 'Z');

const hasKeys = (metadata: object | undefined): boolean => Object.keys(metadata ?? {}).length > 0;
