import { afterAll, beforeAll, expect, test } from 'vitest';
import { WorkflowEnvironment } from './environment.js';

const KIB = 1024;

let environment: WorkflowEnvironment;
beforeAll(async () => (environment = await WorkflowEnvironment.start({ suggestContinueAsNewAt: 400 })), 120_000);
afterAll(() => environment?.stop());

/** Bytes of history of every run of a sandbox, oldest first. */
async function historyBytes(id: string): Promise<number[]> {
  const bytes: number[] = [];
  const { workflow } = environment.temporal.client;
  let runId = (await environment.handle(id).describe()).raw.workflowExecutionInfo?.firstRunId ?? undefined;
  while (runId !== undefined) {
    const handle = workflow.getHandle(`sandbox-${id}`, runId);
    bytes.push((await handle.describe()).historySize ?? 0);
    const { events } = await handle.fetchHistory();
    runId = events?.at(-1)?.workflowExecutionContinuedAsNewEventAttributes?.newExecutionRunId ?? undefined;
  }
  return bytes;
}

test('a flood of short requests to a sandbox with much metadata writes little, and it continues as new meanwhile', async () => {
  const host = await environment.host();
  const metadata = { large: 'x'.repeat(64 * KIB - 20) };
  const spec = environment.spec(host, { metadata, sealedEnv: 'x'.repeat(86 * KIB) });
  await environment.client.create(spec, {});
  let left = 200;
  const lane = async (): Promise<void> => {
    while (left-- > 0)
      await environment.client.setTimeout(spec.id, { timeoutMs: 600_000 }).catch((error: unknown) => {
        // As many as wait at once may be too many, also for one that a run had taken before it ended.
        expect(['TooManyRequests', 'OutcomeUnknown']).toContain((error as { code: string }).code);
      });
  };
  await Promise.all(Array.from({ length: 12 }, lane));
  const bytes = await historyBytes(spec.id);
  expect(bytes.length).toBeGreaterThan(1);
  expect(bytes.reduce((sum, each) => sum + each, 0)).toBeLessThan(4 * KIB * KIB);
  expect((await environment.handle(spec.id).describe()).status.name).toBe('RUNNING');
  // Nothing was lost of what the steps and answers leave out.
  const { endAt } = (await environment.client.get(spec.id))!;
  expect(host.views.get(spec.id)).toMatchObject({ endAt, spec: { metadata } });
  for (let round = 0; round < 3; round++) {
    await environment.client.pause(spec.id);
    await environment.client.resume(spec.id, {});
  }
  expect(host.views.get(spec.id)).toMatchObject({ status: 'running', spec });
  await environment.client.kill(spec.id);
}, 180_000);
