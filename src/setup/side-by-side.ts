/**
 * Runs all at once. What fails is said at that moment, and the others are gone on with: what they make is there at the next
 * start.
 * @throws the first failure, once all are over
 */
export async function sideBySide(works: (() => Promise<void>)[], say: (line: string) => void): Promise<void> {
  let over = 0;
  const failures: unknown[] = [];
  await Promise.all(
    works.map(async (work) => {
      try {
        await work();
      } catch (error) {
        failures.push(error);
        const others = over + 1 < works.length ? '. What goes on beside it is finished first.' : '';
        say(`${error instanceof Error ? error.message : String(error)}${others}`);
      } finally {
        over++;
      }
    }),
  );
  if (failures.length > 0) throw failures[0];
}
