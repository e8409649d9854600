import { readFile } from 'node:fs/promises';

const USERS = ['libvirt-qemu', 'qemu'];

/** Unix ids of libvirt's QEMU user: its user, and the group in which sandboxes' QEMU processes run. */
export async function qemuIds(): Promise<{ uid: number; gid: number }> {
  const uid = await idIn('/etc/passwd', USERS);
  const gid = await idIn('/etc/group', USERS);
  if (uid !== undefined && gid !== undefined) return { uid, gid };
  throw new Error(
    `none of the users ${USERS.join(', ')} is there: libvirt's QEMU driver is not installed. Run setup/packages.sh.`,
  );
}

async function idIn(file: string, names: string[]): Promise<number | undefined> {
  const lines = (await readFile(file, 'utf8')).split('\n').map((line) => line.split(':'));
  for (const name of names) {
    const id = lines.find((fields) => fields[0] === name)?.[2];
    if (id !== undefined) return Number(id);
  }
  return undefined;
}
