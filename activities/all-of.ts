/**
 * Several effects at once. Waits for all of them also when one fails: what cleans up after a failure must find nothing
 * still at work.
 * @throws the first failure, in the order given.
 */
export async function allOf(...effects: Promise<unknown>[]): Promise<void> {
  const failed = (await Promise.allSettled(effects)).find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}
