import { randomBytes } from 'node:crypto';
import { lstat, readdir, rename, unlink } from 'node:fs/promises';
import path from 'node:path';

/** Where libvirt has each machine's passt write its pid file and socket, as that machine's own unix user. */
export const PASST_DIRECTORY = '/run/libvirt/qemu/passt';

/** libvirt takes so much of a domain's name into the names of its files. */
const NAME_LENGTH = 20;

/**
 * Before a machine is started: what lies where its passt is about to write, and is not its passt's to write to. Another
 * machine's user may have planted it: a link, by which this passt would overwrite a file of its own sandbox, or a file that
 * it cannot write to.
 *
 * Call it right before the start: what is planted between the two is not seen.
 *
 * @returns names of what was moved out of the way
 */
export async function clearPlantedPasstFiles(
  { name, uid }: { name: string; uid: number },
  directory = PASST_DIRECTORY,
): Promise<string[]> {
  const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const isItsOwn = namesOf(name);
  const cleared: string[] = [];
  for (const entry of names.filter(isItsOwn)) {
    const file = path.join(directory, entry);
    const found = await lstat(file).catch(() => undefined);
    if (found === undefined || (found.uid === uid && (found.isFile() || found.isSocket()) && found.nlink === 1))
      continue;
    await clear(file);
    cleared.push(entry);
  }
  return cleared;
}

/** Which entries are named as the files of a machine are: its domain's number, which nobody knows before its start, is any. */
function namesOf(domain: string): (entry: string) => boolean {
  const rest = `-${domain.slice(0, NAME_LENGTH)}-net0`;
  return (entry) => {
    const number = /^\d+/.exec(entry)?.[0] ?? '';
    return number !== '' && [`${rest}-passt.pid`, `${rest}.socket`].includes(entry.slice(number.length));
  };
}

/** Never into a directory: its owner may put a link in the place of anything below it. The slot's next clearing removes it. */
async function clear(file: string): Promise<void> {
  await unlink(file).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return;
    if (error.code !== 'EISDIR' && error.code !== 'EPERM') throw error;
    await rename(file, path.join(path.dirname(file), `planted-${randomBytes(8).toString('hex')}`));
  });
}
