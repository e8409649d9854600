import { readFile, readdir } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { createSealPool } from '../../src/sealing/worker-pool.js';

test('where no thread can be started every task is refused, and none waits for ever', async () => {
  const pool = createSealPool({ workers: 2, scriptUrl: new URL('http://127.0.0.1/not-a-script') });
  const device = { do: 'seal-device', fd: 0, offset: 0, bytes: 0 } as never;
  const results = await Promise.allSettled(Array.from({ length: 5 }, () => pool.run(device)));
  expect(results.map(({ status }) => status)).toEqual(Array(5).fill('rejected'));
  await pool.close();
});

test('its threads run at the priority asked for, and the others as before', async () => {
  const nicenesses = async (): Promise<number[]> => {
    const threads = await readdir('/proc/self/task');
    const stats = threads.map((thread) => readFile(`/proc/self/task/${thread}/stat`, 'utf8').catch(() => ''));
    return (await Promise.all(stats))
      .filter((stat) => stat !== '')
      .map((stat) => Number(stat.split(') ')[1]!.split(' ')[16]));
  };
  const before = await nicenesses();
  const pool = createSealPool({ workers: 1, niceness: 19 });
  await pool.run({ do: 'seal-device', fd: -1, offset: 0, bytes: 0 } as never).catch(() => undefined);
  const after = await nicenesses();
  await pool.close();
  expect(before).not.toContain(19);
  expect(after.filter((niceness) => niceness === 19).length).toBeGreaterThan(0);
  expect(after.filter((niceness) => niceness !== 19).length).toBeGreaterThanOrEqual(before.length);
});
