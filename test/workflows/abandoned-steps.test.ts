import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { StepClient } from '../../src/temporal/step-client.js';
import { WorkflowEnvironment } from './environment.js';

let environment: WorkflowEnvironment;
beforeAll(async () => (environment = await WorkflowEnvironment.start()));
afterAll(() => environment?.stop());

/** A task token of Temporal's server as far as it matters here: protobuf, field 1 is the id of the namespace. */
function tokenOf(namespaceId: string): Uint8Array {
  const id = Buffer.from(namespaceId);
  return Buffer.concat([Buffer.from([0x0a, id.length]), id]);
}

test('a step that another Temporal gave out is left alone: nobody waits for it here', async () => {
  const { connection, namespace } = environment.temporal;
  const steps = new StepClient(connection, namespace ?? 'default');
  await expect(steps.fail(tokenOf(randomUUID()))).resolves.toBeUndefined();
});

test('a step whose end cannot be told is an error', async () => {
  const { connection, namespace } = environment.temporal;
  const steps = new StepClient(connection, namespace ?? 'default');
  await expect(steps.fail(Buffer.from('no token'))).rejects.toThrow();
});
