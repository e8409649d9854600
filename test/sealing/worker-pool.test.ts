import { expect, test } from 'vitest';
import { createSealPool } from '../../src/sealing/worker-pool.js';

test('where no thread can be started every task is refused, and none waits for ever', async () => {
  const pool = createSealPool({ workers: 2, scriptUrl: new URL('http://127.0.0.1/not-a-script') });
  const device = { do: 'seal-device', fd: 0, offset: 0, bytes: 0 } as never;
  const results = await Promise.allSettled(Array.from({ length: 5 }, () => pool.run(device)));
  expect(results.map(({ status }) => status)).toEqual(Array(5).fill('rejected'));
  await pool.close();
});
