import { expect, test } from 'vitest';
import { sideBySide } from '../../src/setup/side-by-side.js';

test('works begin at once, and a failure is said while the others go on to their end', async () => {
  const events: string[] = [];
  let end: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => (end = resolve));
  const both = sideBySide(
    [
      async () => {
        events.push('long begins');
        await ended;
        events.push('long ends');
      },
      async () => {
        events.push('short begins');
        throw new Error('Temporal CLI: no network');
      },
    ],
    (line) => {
      events.push(line);
      end();
    },
  );
  await expect(both).rejects.toThrow('Temporal CLI: no network');
  expect(events).toEqual([
    'long begins',
    'short begins',
    expect.stringMatching(/^Temporal CLI: no network\./),
    'long ends',
  ]);
});
