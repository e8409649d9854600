import { openSync, readFileSync } from 'node:fs';
import { poll } from '../libc.js';

export interface Mount {
  point: string;
  type: string;
  /** `major:minor`. */
  device: string;
}

/** In memory alone: a call on it waits for nobody. */
const MEMORY_TYPES = new Set(['tmpfs', 'ramfs', 'devtmpfs']);
/** The kernel's own: to look at where one is mounted waits for nobody; to read what is in it may. */
const KERNEL_TYPES = new Set(
  'proc sysfs devpts cgroup cgroup2 mqueue hugetlbfs debugfs tracefs securityfs configfs bpf pstore fusectl'.split(' '),
);
const NETWORK_TYPES = /^(fuse|nfs|cifs|smb|9p|ceph|afs|virtiofs|lustre|gfs|ocfs|beegfs)/;

export const isKernelType = ({ type }: Mount): boolean => KERNEL_TYPES.has(type);
/** Others change what is on it without this kernel's knowledge. */
export const isNetworkType = ({ type }: Mount): boolean => NETWORK_TYPES.test(type);

export const parseMounts = (mountinfo: string): Mount[] =>
  mountinfo.split('\n').flatMap((line) => {
    const fields = line.split(' ');
    const type = fields[fields.indexOf('-') + 1];
    const [, , device, , point] = fields;
    if (device === undefined || point === undefined || type === undefined) return [];
    return [
      { point: point.replace(/\\([0-7]{3})/g, (_, code) => String.fromCharCode(parseInt(code, 8))), type, device },
    ];
  });

/** The mounts on which a call may wait for ever for somebody: all but the root's disk, and memory. By mount point. */
export function mountsApart(mounts: Mount[]): Map<string, Mount> {
  const root = mounts.findLast(({ point }) => point === '/')?.device;
  return new Map(
    mounts
      .filter(({ device, type }) => device !== root && !MEMORY_TYPES.has(type))
      .map((mount) => [mount.point, mount] as const),
  );
}

const FILE = '/proc/self/mountinfo';

let watched: { changed: () => boolean } | undefined;
let apart = new Map<string, Mount>();

/** As of now. The kernel says whether the table has changed, in one call; it is read only then. */
export function currentMountsApart(): ReadonlyMap<string, Mount> {
  watched ??= { changed: watchTable() };
  if (watched.changed()) apart = mountsApart(parseMounts(readFileSync(FILE, 'utf8')));
  return apart;
}

function watchTable(): () => boolean {
  const POLLERR = 8;
  const entry = Buffer.alloc(8);
  entry.writeInt32LE(openSync(FILE, 'r'));
  let first = true;
  return () => {
    // Events that are asked for: none. An error is always told, and here a change is one.
    entry.writeInt32LE(0, 4);
    const changed = poll(entry, 1, 0) > 0 && (entry.readInt16LE(6) & POLLERR) !== 0;
    const isFirst = first;
    first = false;
    return changed || isFirst;
  };
}
