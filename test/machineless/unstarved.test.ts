import { spawn } from 'node:child_process';
import { afterEach, expect, test } from 'vitest';
import type { MachinelessService } from './machineless-service.js';
import { unstarved } from './unstarved.js';

const LATE = { status: 503, body: { message: 'these hosts do not answer: machineless' } };
const children: ReturnType<typeof spawn>[] = [];
afterEach(() => children.splice(0).forEach((child) => child.kill()));

/** Whose processes sleep: nothing keeps them from running. */
function idleService(): MachinelessService {
  const child = spawn('sleep', ['1000']);
  children.push(child);
  return { apiPid: child.pid, host: { pid: child.pid } } as unknown as MachinelessService;
}

test.each([
  ['a host that is late though it could run', LATE],
  ['Temporal', { status: 503, body: { message: 'Temporal cannot be reached; nothing was done. Try again shortly.' } }],
  ['a rate', { status: 429, body: { message: 'too many requests' } }],
])('a refusal because of %s is no matter of the machine’s load', async (_why, refusal) => {
  const answers = [refusal, { status: 200, body: undefined }];
  expect(await unstarved(idleService(), () => Promise.resolve(answers.shift()!))).toBe(refusal);
});
