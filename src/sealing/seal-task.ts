import { openChunk1, type OpenChunkTask, type OpenedChunk } from './open-chunk-1.js';
import { openDevice, openParts, type OpenDeviceTask, type OpenPartsTask } from './open-parts.js';
import { sealBlock, sealDevice, type SealDeviceTask, type SealedBlock, type SealMemoryTask } from './seal-block.js';
import type { Frame } from './image-table.js';

/**
 * What a worker thread does, one message each. File descriptors are the process's: whoever sends a task keeps them
 * open until it is answered.
 */
export type SealTask = SealMemoryTask | SealDeviceTask | OpenPartsTask | OpenDeviceTask | OpenChunkTask;

interface Results {
  'seal-memory': SealedBlock;
  'seal-device': Frame;
  'open-parts': void;
  'open-device': void;
  'open-1': OpenedChunk;
}
export type ResultOf<T extends SealTask> = Results[T['do']];
export type TaskResult = Results[keyof Results];

export function runTask(task: SealTask): TaskResult {
  switch (task.do) {
    case 'seal-memory':
      return sealBlock(task);
    case 'seal-device':
      return sealDevice(task);
    case 'open-parts':
      return openParts(task);
    case 'open-device':
      return openDevice(task);
    case 'open-1':
      return openChunk1(task);
  }
}
