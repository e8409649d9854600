import { constants } from 'node:fs';
import { readFile } from 'node:fs/promises';

export interface User {
  name: string;
  uid: number;
  gid: number;
  home: string;
}

/** Also where somebody has put a pipe in its place. */
const AT_ONCE = constants.O_RDONLY | constants.O_NONBLOCK;

const rows = async (file: string): Promise<string[][]> =>
  (await readFile(file, { encoding: 'utf8', flag: AT_ONCE }))
    .split('\n')
    .flatMap((line) => (line.includes(':') ? [line.split(':')] : []));

/** @returns the user of that name in /etc/passwd. */
export async function findUser(name: string): Promise<User | undefined> {
  const row = (await rows('/etc/passwd')).find((fields) => fields[0] === name);
  if (row === undefined) return undefined;
  return { name, uid: Number(row[2]), gid: Number(row[3]), home: row[5] ?? '/' };
}

export interface Names {
  userName: (uid: number) => string;
  groupName: (gid: number) => string;
}

/** Names of uids and gids; a number that has no name stands for itself. */
export async function readNames(): Promise<Names> {
  const users = new Map((await rows('/etc/passwd')).map((fields) => [Number(fields[2]), fields[0]] as const));
  const groups = new Map((await rows('/etc/group')).map((fields) => [Number(fields[2]), fields[0]] as const));
  return { userName: (uid) => users.get(uid) ?? String(uid), groupName: (gid) => groups.get(gid) ?? String(gid) };
}
