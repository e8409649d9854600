import { XMLBuilder } from 'fast-xml-parser';
import { virsh } from './virsh.js';

/** libvirt secrets: private (libvirt never gives the value out again) and ephemeral (kept in its memory only). */

const builder = new XMLBuilder({ ignoreAttributes: false, attributeNamePrefix: '@', suppressEmptyNode: true });

/** Defines or redefines the secret. The value travels on standard input: never on a command line or a disk. */
export async function setSecret(uri: string, uuid: string, description: string, value: string): Promise<void> {
  const xml = builder.build({ secret: { '@ephemeral': 'yes', '@private': 'yes', uuid, description } });
  const commands = `secret-define /dev/fd/3; secret-set-value ${uuid} --plain --file /dev/stdin`;
  await virsh(uri, [commands], { input: value, document: xml });
}

/** Absent is fine. */
export async function removeSecret(uri: string, uuid: string): Promise<void> {
  await virsh(uri, ['secret-undefine', uuid], { absentIsFine: true });
}

export async function listSecrets(uri: string): Promise<string[]> {
  const out = await virsh(uri, ['-q', 'secret-list']);
  return out
    .split('\n')
    .map((line) => line.trim().split(/\s+/)[0] ?? '')
    .filter((uuid) => uuid !== '');
}
