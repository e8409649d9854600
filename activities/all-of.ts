/**
 * Several effects at once. Waits for all of them also when one fails: what cleans up after a failure must find nothing
 * still at work.
 * @throws the first failure, in the order given.
 */
export async function allOf(...effects: Promise<unknown>[]): Promise<void> {
  const failed = (await Promise.allSettled(effects)).find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

/**
 * As {@link allOf}, of effects that need each other: the first failure aborts the signal that all of them get, as `signal`
 * does.
 * @throws that first failure, in time: what the others say is its consequence
 */
export async function allOrNone(signal: AbortSignal, begin: (over: AbortSignal) => Promise<unknown>[]): Promise<void> {
  const over = new AbortController();
  const abort = (): void => over.abort(signal.reason);
  signal.throwIfAborted();
  signal.addEventListener('abort', abort, { once: true });
  let first: { error: unknown } | undefined;
  const watched = begin(over.signal).map((effect) =>
    effect.catch((error: unknown) => {
      first ??= { error };
      over.abort(error);
    }),
  );
  await Promise.all(watched);
  signal.removeEventListener('abort', abort);
  if (first !== undefined) throw first.error;
}
