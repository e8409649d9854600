import { mkdir, writeFile } from 'node:fs/promises';
import { templateFiles, type Template } from '../../template/template.js';
import { DEVICE_STATE } from './fake-machines.js';

export const MEMORY_MIB = 4;

/** A template for machines that are not there: a few pages of memory, so that nothing of real size is copied or sealed. */
export async function tinyTemplate(directory: string): Promise<Template> {
  const files = templateFiles(directory);
  await mkdir(directory, { recursive: true });
  await writeFile(files.memory, Buffer.alloc(MEMORY_MIB * 1024 * 1024));
  await writeFile(files.deviceState, DEVICE_STATE);
  return {
    ...files,
    ...{ schema: 1, key: 'tinytemplate', names: ['base'], createdAt: 1, accelerator: 'tcg', machineType: 'none' },
    ...{ cpuModel: 'none', cpuCount: 1, memoryMiB: MEMORY_MIB, diskMiB: 1, kernelArguments: '', macAddress: '' },
    ...{ envdVersion: '0.5.2', versions: {}, memoryExtents: [] },
  };
}
