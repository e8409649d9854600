import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ApiClient } from '../e2e/api-client.js';
import { MachinelessService } from '../machineless/machineless-service.js';
import { buildChecker, check, goIsThere } from './checker.js';
import { runClients, summaryOf, type Operation } from './clients.js';

/** 10 000 by `make linearizability`. */
const OPERATIONS = Number(process.env['DORMOUSE_TEST_OPERATIONS'] ?? 600);
const SEED = Number(process.env['DORMOUSE_TEST_SEED'] ?? Date.now() % 1_000_000);

/** How many runs of workflows have continued as new; visibility is a moment behind. */
async function continuedAsNew(service: MachinelessService): Promise<number> {
  const { address, namespace } = service.config.temporal;
  const connection = await Connection.connect({ address });
  try {
    const { workflow } = new Client({ connection, namespace });
    return (await workflow.count('ExecutionStatus="ContinuedAsNew"')).count;
  } finally {
    await connection.close();
  }
}

describe('many clients on a few sandboxes', () => {
  beforeEach((context) => context.skip(!goIsThere, 'the checker needs Go'));
  let service: MachinelessService;
  let api: ApiClient;
  let checker: string;
  let history: Operation[];
  beforeAll(async () => {
    if (!goIsThere) return;
    checker = await buildChecker();
    service = await MachinelessService.start(700, {
      // Every few verbs a workflow continues as new.
      temporal: ['--dynamic-config-value', 'limit.historyCount.suggestContinueAsNew=50'],
      machinesTakeUpToMs: 30,
    });
    api = new ApiClient(service);
  }, 240_000);
  afterAll(() => service?.end());

  test('see histories that are linearizable, while workflows continue as new', async () => {
    const since = Date.now();
    history = await runClients(api, { seed: SEED, clients: 16, sandboxes: 4, operations: OPERATIONS, waitsUpToMs: 40 });
    const seconds = ((Date.now() - since) / 1_000).toFixed(1);
    process.stderr.write(`seed ${SEED}, ${history.length} operations in ${seconds} s: ${summaryOf(history)}\n`);
    const { linearizable, said } = await check(checker, history);
    process.stderr.write(`${said}\n`);
    expect(linearizable, `seed ${SEED}\n${said}`).toBe(true);
    await expect.poll(() => continuedAsNew(service), { timeout: 10_000 }).toBeGreaterThan(0);
  }, 3_600_000);

  test('a sandbox seen again after its kill was answered is caught (control)', async () => {
    // Of the sandbox with the shortest history: to find that no order of many operations would do takes long.
    const on = ({ sandbox }: Operation): Operation[] => history.filter((one) => one.sandbox === sandbox);
    const kills = history.filter(({ verb, status }) => verb === 'kill' && status === 204);
    const kill = kills.sort((a, b) => on(a).length - on(b).length)[0]!;
    const at = kill.return! + 1;
    const again: Operation = {
      ...kill,
      client: 99,
      verb: 'see',
      call: at,
      return: at + 1,
      status: 200,
      seen: 'running',
    };
    expect((await check(checker, [...on(kill), again])).linearizable).toBe(false);
  });

  test('a connect that finds a sandbox running which sleeps is caught (control)', async () => {
    const sandbox = await api.create();
    const base = { client: 0, sandbox };
    const told: Operation[] = [
      { ...base, verb: 'create', call: 1, return: 2, status: 201 },
      { ...base, verb: 'pause', call: 3, return: 4, status: 204 },
      { ...base, verb: 'connect', call: 5, return: 6, status: 200 },
    ];
    expect((await check(checker, told)).linearizable).toBe(false);
    expect((await check(checker, told.with(2, { ...told[2]!, status: 201 }))).linearizable).toBe(true);
    await api.call('DELETE', `/sandboxes/${sandbox}`);
  });

  test('200 connects at once on one paused sandbox wake it once, and all are answered', async () => {
    const id = await api.create();
    expect((await api.call('POST', `/sandboxes/${id}/pause`)).status).toBe(204);
    const before = service.machines.restores;
    const answers = await Promise.all(
      Array.from({ length: 200 }, () => api.call('POST', `/sandboxes/${id}/connect`, { timeout: 300 })),
    );
    expect(answers.filter(({ status }) => status !== 200 && status !== 201)).toEqual([]);
    expect(service.machines.restores - before).toBe(1);
    expect(await api.state(id)).toBe('running');
    await api.call('DELETE', `/sandboxes/${id}`);
  });
});
