import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { forbidCoreDumps } from '../../src/host/core-dumps.js';

test('a process that holds keys writes no core dump', async () => {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  try {
    await forbidCoreDumps(child.pid);
    const limits = await readFile(`/proc/${child.pid}/limits`, 'utf8');
    expect(limits).toMatch(/^Max core file size +0 +0 +bytes/m);
  } finally {
    child.kill('SIGKILL');
  }
});
