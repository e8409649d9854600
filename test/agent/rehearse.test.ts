import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Identity } from '../../src/agent/identity.js';
import { rehearse } from '../../src/agent/rehearse.js';
import { ReseedWatch } from '../../src/agent/reseed.js';

test('a rehearsal goes through the change of identity, and leaves the identity of the guest alone', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'rehearsed-'));
  const adopt = vi.spyOn(Identity.prototype, 'adopt');
  const complaints = vi.spyOn(console, 'error');
  onTestFinished(async () => {
    vi.restoreAllMocks();
    await rm(directory, { recursive: true });
  });
  const kernelLog = path.join(directory, 'kmsg');
  await writeFile(kernelLog, '');
  const own = new Identity(directory);
  await rehearse({ setsClock: false, reseeds: new ReseedWatch(kernelLog), identity: own });
  const adopted = new Set(adopt.mock.calls.map(([machineId]) => machineId));
  expect(adopted.size).toBeGreaterThan(1);
  expect(adopt.mock.contexts).not.toContain(own);
  expect(complaints).not.toHaveBeenCalled();
});
