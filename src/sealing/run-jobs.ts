/**
 * Runs jobs, a few at a time, until all are done or one has failed. When it settles none is running any more: what they
 * used can be closed.
 *
 * @throws what the first failed job threw, or the signal's reason
 */
export async function runJobs(
  jobs: Generator<() => Promise<void>>,
  atOnce: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  let failure: { error: unknown } | undefined;
  const lane = async (): Promise<void> => {
    try {
      for (const job of jobs) {
        if (failed()) return;
        signal?.throwIfAborted();
        await job();
      }
    } catch (error) {
      failure ??= { error };
    }
  };
  const failed = (): boolean => failure !== undefined;
  await Promise.all(Array.from({ length: atOnce }, lane));
  if (failure) throw (failure as { error: unknown }).error;
}
