/** Entry of the worker threads. Bundled on its own: in a build it must stand beside the program as `seal-worker.js`. */
import { parentPort } from 'node:worker_threads';
import { FormatError } from './image-error.js';
import { runTask, type SealTask, type TaskResult } from './seal-task.js';

/** `damaged`: the image is at fault, not the machine. */
export type Reply = { value: TaskResult } | { error: string; damaged: boolean; code?: string };

parentPort?.on('message', (task: SealTask) => {
  const reply = answer(task);
  const frame = 'value' in reply && reply.value && 'frame' in reply.value ? reply.value.frame.buffer : undefined;
  parentPort?.postMessage(reply, frame ? [frame] : []);
});

function answer(task: SealTask): Reply {
  try {
    return { value: runTask(task) };
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    return { error: message, damaged: error instanceof FormatError, ...(code === undefined ? {} : { code }) };
  }
}
