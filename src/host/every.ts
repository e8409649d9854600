/** Runs `work` now and then again and again, never twice at once. @returns stops it; what goes on ends by itself. */
export function every(ms: number, work: () => Promise<void>, failed: (error: unknown) => void): () => void {
  let busy = false;
  const run = (): void => {
    if (busy) return;
    busy = true;
    work()
      .catch(failed)
      .finally(() => (busy = false));
  };
  run();
  const timer = setInterval(run, ms);
  return () => clearInterval(timer);
}
