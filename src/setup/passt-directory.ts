import { chmod, chown, stat } from 'node:fs/promises';

const DIRECTORY = '/run/libvirt/qemu/passt';

/**
 * passt runs as its sandbox's unix user and writes its pid file and socket into libvirt's run directory, which belongs
 * to libvirt's QEMU user alone. The group (that of all sandboxes' QEMU) gets to write there too; the sticky bit keeps
 * each sandbox from another's files. libvirt makes the directory anew at its own start, so this is done again then.
 */
export async function openPasstDirectory(gid: number): Promise<void> {
  const { uid } = await stat(DIRECTORY);
  await chown(DIRECTORY, uid, gid);
  await chmod(DIRECTORY, 0o1770);
}
