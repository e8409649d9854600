import { virsh } from './virsh.js';

/** Whether libvirt saves that machine at this moment, whoever asked for it; an absent one is not being saved. */
export const isBeingSaved = async (uri: string, name: string): Promise<boolean> =>
  /^Operation:\s+Save$/m.test(await virsh(uri, ['domjobinfo', name], { absentIsFine: true }));
