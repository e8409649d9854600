import { virsh } from './virsh.js';

/** Whether libvirt saves that machine at this moment, whoever asked for it; an absent one is not being saved. */
export const isBeingSaved = async (uri: string, name: string, signal: AbortSignal): Promise<boolean> =>
  isSaveJob(await virsh(uri, ['domjobinfo', name], { absentIsFine: true, signal }));

/** @param text of `virsh domjobinfo`, whose columns are filled up with blanks */
export const isSaveJob = (text: string): boolean => /^Operation: +Save *$/m.test(text);
