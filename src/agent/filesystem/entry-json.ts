import { FileType } from '../../gen/filesystem/filesystem_pb.js';
import type { EntryInfoInit } from './entry-info.js';

/**
 * The JSON text of an entry, as the library for messages writes it: what has its default value is left out. Put together by
 * hand: of thousands of entries, an object each and its walk take longer than to ask the kernel for the file.
 */
export function entryJson(entry: EntryInfoInit): string {
  let text = '';
  if (entry.name) text += `,"name":${JSON.stringify(entry.name)}`;
  if (entry.type) text += `,"type":"${TYPE_NAMES[entry.type]}"`;
  if (entry.path) text += `,"path":${JSON.stringify(entry.path)}`;
  if (entry.size) text += `,"size":"${entry.size}"`;
  if (entry.mode) text += `,"mode":${entry.mode}`;
  if (entry.permissions) text += `,"permissions":${JSON.stringify(entry.permissions)}`;
  if (entry.owner) text += `,"owner":${JSON.stringify(entry.owner)}`;
  if (entry.group) text += `,"group":${JSON.stringify(entry.group)}`;
  if (entry.modifiedTime !== undefined) text += `,"modifiedTime":"${timeJson(entry.modifiedTime)}"`;
  if (entry.symlinkTarget !== undefined) text += `,"symlinkTarget":${JSON.stringify(entry.symlinkTarget)}`;
  if (hasKeys(entry.metadata)) text += `,"metadata":${JSON.stringify(entry.metadata)}`;
  if (entry.isSymlink) text += ',"isSymlink":true';
  return `{${text.slice(1)}}`;
}

const TYPE_NAMES: Record<FileType, string | undefined> = {
  [FileType.UNSPECIFIED]: undefined,
  [FileType.FILE]: 'FILE_TYPE_FILE',
  [FileType.DIRECTORY]: 'FILE_TYPE_DIRECTORY',
  [FileType.SYMLINK]: 'FILE_TYPE_SYMLINK',
};

let lastSecond: { seconds: number; text: string } = { seconds: 0, text: '1970-01-01T00:00:00' };

/** Times of entries are whole milliseconds. Files of one directory often share a second, whose text is made once. */
function timeJson({ seconds, nanos = 0 }: NonNullable<EntryInfoInit['modifiedTime']>): string {
  const second = Number(seconds);
  if (lastSecond.seconds !== second)
    lastSecond = { seconds: second, text: new Date(second * 1000).toISOString().slice(0, -'.000Z'.length) };
  const ms = Math.trunc(nanos / 1e6);
  return ms === 0 ? `${lastSecond.text}Z` : `${lastSecond.text}.${String(ms).padStart(3, '0')}Z`;
}

function hasKeys(metadata: object | undefined): boolean {
  for (const key in metadata) if (Object.hasOwn(metadata, key)) return true;
  return false;
}
