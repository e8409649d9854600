import { runJobs } from '../../sealing/run-jobs.js';

/** Does `work` for 0 to count − 1, so many at once. @throws the first failure, once nothing of it goes on any more. */
export async function inLanes(lanes: number, count: number, work: (index: number) => Promise<void>): Promise<void> {
  function* jobs(): Generator<() => Promise<void>> {
    for (let index = 0; index < count; index++) yield () => work(index);
  }
  await runJobs(jobs(), lanes, undefined);
}
