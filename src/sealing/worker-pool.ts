import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { Worker, type TransferListItem } from 'node:worker_threads';
import { FormatError } from './image-error.js';
import type { ResultOf, SealTask, TaskResult } from './seal-task.js';
import type { Reply } from './seal-worker.js';

interface Job {
  task: SealTask;
  transfer: TransferListItem[];
  resolve(value: TaskResult): void;
  reject(error: Error): void;
}
interface Slot {
  worker?: Worker;
  job?: Job;
  /** To be ended once its task is over. */
  closing?: boolean;
}

export interface SealPool {
  /** Number of threads. */
  readonly size: number;
  /** Runs a task on the next free thread. Once it settles, no thread uses the task's file descriptors any more. */
  run<T extends SealTask>(task: T, transfer?: TransferListItem[]): Promise<ResultOf<T>>;
  /**
   * Ends the threads; tasks that are not done are rejected.
   *
   * Danger: a thread is ended between two tasks only. One that is ended inside of a native call may take the process along.
   */
  close(): Promise<void>;
}

/**
 * Threads that compare, compress and encrypt. They start with the first task, and do not keep the process alive.
 *
 * @param options.workers number of threads, default 2
 * @param options.scriptUrl where `seal-worker.js` is; default: beside this program, or built on the fly from sources
 */
export function createSealPool(options: { workers?: number; scriptUrl?: URL } = {}): SealPool {
  const slots: Slot[] = Array.from({ length: options.workers ?? 2 }, () => ({}));
  const queue: Job[] = [];
  let script: Promise<URL> | undefined;
  const rejectQueued = (error: Error): void => queue.splice(0).forEach((job) => job.reject(error));
  const shutDown = (): Error => new Error('the sealing threads were shut down');

  function dispatch(url: URL): void {
    for (const slot of slots) {
      if (slot.job) continue;
      const job = queue.shift();
      if (!job) return;
      slot.job = job;
      try {
        slot.worker ??= start(slot, url);
        slot.worker.postMessage(job.task, job.transfer);
        slot.worker.ref();
      } catch (error) {
        delete slot.job;
        job.reject(error as Error);
      }
    }
    // Nobody will come for them: no thread could be started.
    if (slots.every((slot) => !slot.job)) rejectQueued(new Error('no sealing thread can be started'));
  }

  function start(slot: Slot, url: URL): Worker {
    const worker = new Worker(url, { name: 'seal' });
    let failure: Error | undefined;
    worker.on('message', (reply: Reply) => {
      if (slot.closing) {
        failure = shutDown();
        return void worker.terminate();
      }
      const job = slot.job;
      delete slot.job;
      worker.unref();
      if ('value' in reply) job?.resolve(reply.value);
      else job?.reject(failureOf(reply));
      dispatch(url);
    });
    worker.on('error', (error) => (failure = error as Error));
    worker.on('exit', () => {
      const job = slot.job;
      delete slot.job;
      delete slot.worker;
      delete slot.closing;
      job?.reject(failure ?? new Error('a sealing thread ended unexpectedly'));
      dispatch(url);
    });
    return worker;
  }

  async function end(slot: Slot): Promise<void> {
    const { worker, job } = slot;
    if (!worker) return;
    const ended = new Promise((resolve) => worker.once('exit', resolve));
    if (job) slot.closing = true;
    else void worker.terminate();
    await ended;
  }

  return {
    size: slots.length,
    run: <T extends SealTask>(task: T, transfer: TransferListItem[] = []) =>
      new Promise<ResultOf<T>>((resolve, reject) => {
        queue.push({ task, transfer, resolve: resolve as (value: TaskResult) => void, reject });
        script ??= options.scriptUrl ? Promise.resolve(options.scriptUrl) : findScript();
        script.then(dispatch).catch((error: unknown) => {
          script = undefined;
          rejectQueued(error as Error);
        });
      }),
    close: async () => {
      rejectQueued(shutDown());
      await Promise.all(slots.map(end));
    },
  };
}

let shared: SealPool | undefined;

/** The pool of this process, made at first use: two seals at once share its threads instead of doubling them. */
export const sharedSealPool = (): SealPool => (shared ??= createSealPool());

function failureOf(reply: Exclude<Reply, { value: unknown }>): Error {
  if (reply.damaged) return new FormatError(reply.error, reply.path);
  return Object.assign(new Error(reply.error), reply.code === undefined ? {} : { code: reply.code });
}

async function findScript(): Promise<URL> {
  if (!import.meta.url.endsWith('.ts')) return new URL('./seal-worker.js', import.meta.url);
  // Threads need JavaScript. The name is in a variable so that no bundler takes esbuild into the program.
  const bundler = 'esbuild';
  const { build } = (await import(bundler)) as typeof import('esbuild');
  const entry = new URL('./seal-worker.ts', import.meta.url).pathname;
  // A module of a data: URL finds no packages; koffi, which cannot be bundled, is named by its file.
  const koffi = pathToFileURL(createRequire(import.meta.url).resolve('koffi')).href;
  const built = await build({
    ...{ entryPoints: [entry], bundle: true, platform: 'node', format: 'esm', write: false },
    plugins: [
      {
        name: 'koffi by its file',
        setup: ({ onResolve }) => onResolve({ filter: /^koffi$/ }, () => ({ path: koffi, external: true })),
      },
    ],
  });
  const code = Buffer.from(built.outputFiles[0]!.contents).toString('base64');
  return new URL(`data:text/javascript;base64,${code}`);
}
