import { expect, test } from 'vitest';
import { lockOnMachine } from '../../src/host/host-lock.js';

test("a name is one process's at a time, and free again once it was given up", async () => {
  const name = `test-${process.pid}`;
  const give = await lockOnMachine(name, 'it is taken');
  await expect(lockOnMachine(name, 'it is taken')).rejects.toThrow('it is taken');
  await give();
  const again = await lockOnMachine(name, 'it is taken');
  await again();
});
