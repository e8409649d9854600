import { chmod, chown, readFile, stat } from 'node:fs/promises';
import { PASST_DIRECTORY } from '../libvirt/passt-files.js';
import type { Logger } from '../log.js';

/** With these the kernel lets nobody follow a link, or write through a name, that another user planted in such a directory. */
const PROTECTIONS = ['protected_symlinks', 'protected_regular'];

/**
 * passt runs as its sandbox's unix user and writes its pid file and socket into libvirt's run directory, which belongs
 * to libvirt's QEMU user alone. The group (that of all sandboxes' QEMU) gets to write there too; the sticky bit keeps
 * each sandbox from another's files. libvirt makes the directory anew at its own start, so this is done again then.
 *
 * The kernel's protection from planted links is for directories that all may write to: where it is on, this is one. What
 * was planted before a machine's start is removed right before it in any case, see `clearPlantedPasstFiles`.
 */
export async function openPasstDirectory(gid: number, log?: Logger, directory = PASST_DIRECTORY): Promise<void> {
  const isProtected = await Promise.all(
    PROTECTIONS.map(async (name) => Number(await readFile(`/proc/sys/fs/${name}`, 'utf8').catch(() => '0')) > 0),
  );
  const { uid } = await stat(directory);
  await chown(directory, uid, gid);
  await chmod(directory, isProtected.every(Boolean) ? 0o1777 : 0o1770);
  if (isProtected.every(Boolean)) return;
  log?.warn(
    { directory },
    'a QEMU that was taken over could plant links for other sandboxes: run sysctl -w fs.protected_symlinks=1 fs.protected_regular=1 and start again',
  );
}
