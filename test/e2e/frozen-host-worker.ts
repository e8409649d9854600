import { readdir, readFile } from 'node:fs/promises';

/**
 * Does something while the host worker of a service is stopped, because that would undo it at once. No step of it may be
 * under way.
 */
export async function whileHostWorkerIsFrozen<T>(stateDir: string, work: () => Promise<T>): Promise<T> {
  const pids = await hostWorkersOn(stateDir);
  if (pids.length !== 1) throw new Error(`${pids.length} host workers run on ${stateDir}`);
  const [pid] = pids as [number];
  process.kill(pid, 'SIGSTOP');
  try {
    return await work();
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}

async function hostWorkersOn(stateDir: string): Promise<number[]> {
  const found: number[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const of = (name: string): Promise<string[]> =>
      readFile(`/proc/${pid}/${name}`, 'utf8').then(
        (text) => text.split('\0'),
        () => [],
      );
    const isOne = (await of('cmdline')).some((argument) => argument.endsWith('/mains/host-worker.js'));
    if (isOne && (await of('environ')).includes(`DORMOUSE_STATE_DIR=${stateDir}`)) found.push(Number(pid));
  }
  return found;
}
