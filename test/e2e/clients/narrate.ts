/** One part of a story: one line of JSON, as soon as it is over, with what went wrong in it. */
export async function part(name: string, tell: () => Promise<void>): Promise<void> {
  const began = performance.now();
  let error: string | null = null;
  try {
    await tell();
  } catch (thrown) {
    error = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  }
  const seconds = Math.round((performance.now() - began) / 10) / 100;
  process.stdout.write(`${JSON.stringify({ part: name, seconds, error })}\n`);
}
