import { readFile } from 'node:fs/promises';
import type { MachinelessService } from './machineless-service.js';

/** Half of what an api waits for a host. */
const STARVED_MS = 1_000;
const NO_HOST_ANSWERED = /hosts do not answer|host of the sandbox does not answer/;

interface Answer {
  status: number;
  body: unknown;
}

/**
 * Asks again after the one refusal that a loaded machine brings about by itself: the host's answer took longer than an api waits
 * (503), while api and host were ready to run and other programs had the processors. A host that is late because it is busy
 * was not kept from running, and no other 503 is asked again.
 */
export async function unstarved<T extends Answer>(service: MachinelessService, call: () => Promise<T>): Promise<T> {
  for (;;) {
    const before = await waitedMs(service);
    const answer = await call();
    const isLate = answer.status === 503 && NO_HOST_ANSWERED.test(JSON.stringify(answer.body));
    if (!isLate || (await waitedMs(service)) - before < STARVED_MS) return answer;
  }
}

/** For how long the main threads of api and host have waited for a processor so far. */
async function waitedMs({ apiPid, host }: MachinelessService): Promise<number> {
  const waited = await Promise.all(
    [apiPid, host.pid].map(async (pid) => Number((await readFile(`/proc/${pid}/schedstat`, 'utf8')).split(' ')[1])),
  );
  return waited.reduce((sum, nanoseconds) => sum + nanoseconds / 1e6, 0);
}
