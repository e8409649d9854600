/** Entry of the worker threads. Bundled on its own: in a build it must stand beside the program as `seal-worker.js`. */
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { FormatError } from './image-error.js';
import { runTask, type SealTask, type TaskResult } from './seal-task.js';

export interface SealWorkerData {
  /** Of this thread; 0: as the process. */
  niceness: number;
}

/** `damaged`: the image is at fault, not the machine; its file at `path`, where it has several. */
export type Reply = { value: TaskResult } | { error: string; damaged: boolean; path?: string; code?: string };

const { niceness } = workerData as SealWorkerData;
// Linux takes 0 for the calling thread alone.
if (niceness > 0) setPriority(0, niceness);

parentPort?.on('message', (task: SealTask) => parentPort?.postMessage(answer(task)));

function answer(task: SealTask): Reply {
  try {
    return { value: runTask(task) };
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    const path = error instanceof FormatError ? error.path : undefined;
    return {
      ...{ error: message, damaged: error instanceof FormatError },
      ...(path === undefined ? {} : { path }),
      ...(code === undefined ? {} : { code }),
    };
  }
}
