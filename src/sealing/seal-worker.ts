/** Entry of the worker threads. Bundled on its own: in a build it must stand beside the program as `seal-worker.js`. */
import { parentPort } from 'node:worker_threads';
import { FormatError } from './image-error.js';
import { runTask, type SealTask, type TaskResult } from './seal-task.js';

/** `damaged`: the image is at fault, not the machine; its file at `path`, where it has several. */
export type Reply = { value: TaskResult } | { error: string; damaged: boolean; path?: string; code?: string };

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
