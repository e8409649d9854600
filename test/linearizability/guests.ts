import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ApiClient } from '../e2e/api-client.js';
import { startService, type RunningService } from '../e2e/running-service.js';
import { buildChecker, check, goIsThere } from './checker.js';
import { runClients, summaryOf } from './clients.js';

const OPERATIONS = Number(process.env['DORMOUSE_TEST_OPERATIONS'] ?? 500);
const SEED = Number(process.env['DORMOUSE_TEST_SEED'] ?? Date.now() % 1_000_000);

/** Slow, and therefore asked for by `make linearizability-guests`, never part of a test run. */
describe('many clients on a few real guests', () => {
  beforeEach((context) => context.skip(!goIsThere, 'the checker needs Go'));
  let service: RunningService;
  let checker: string;
  beforeAll(async () => {
    if (!goIsThere) return;
    checker = await buildChecker();
    service = await startService('linearizability', 800);
  }, 300_000);
  afterAll(() => service?.end());

  test('see histories that are linearizable', async () => {
    const history = await runClients(new ApiClient(service), {
      ...{ seed: SEED, clients: 8, sandboxes: 3, operations: OPERATIONS, waitsUpToMs: 500 },
    });
    process.stderr.write(`seed ${SEED}, ${history.length} operations: ${summaryOf(history)}\n`);
    const { linearizable, said } = await check(checker, history);
    process.stderr.write(`${said}\n`);
    expect(linearizable, `seed ${SEED}\n${said}`).toBe(true);
  }, 3_600_000);
});
