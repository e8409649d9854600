import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { promisify } from 'node:util';
import {
  bundleWorkflowCode,
  DefaultLogger,
  Runtime,
  Worker,
  type WorkflowBundleWithSourceMap,
} from '@temporalio/worker';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { SEARCH_ATTRIBUTE_KEYS } from '../../workflows/search-attributes.js';
import type { HostActivities } from '../../workflows/host-activities.js';
import { CONTROL_TASK_QUEUE, stepTaskQueue } from '../../workflows/names.js';
import { STEP_KINDS } from '../../workflows/step-queues.js';
import type { SandboxSpec } from '../../workflows/view.js';
import { TemporalSandboxClient } from '../../src/temporal/sandbox-client.js';
import { FakeHost } from './fake-host.js';

const cli =
  process.env['DORMOUSE_TEMPORAL_CLI'] ?? `${process.env['DORMOUSE_HOME'] ?? '/var/lib/dormouse'}/tools/temporal`;

Runtime.install({ logger: new DefaultLogger('ERROR') });

/** `INDEXED_VALUE_TYPE_KEYWORD` */
const KEYWORD = 2;

/** A real Temporal, the real workflow code, and a fake host in place of activities on machines. */
export class WorkflowEnvironment {
  private constructor(
    readonly temporal: TestWorkflowEnvironment,
    readonly client: TemporalSandboxClient,
    private readonly bundle: WorkflowBundleWithSourceMap,
    private readonly workers: { worker: Worker; run: Promise<void> }[],
  ) {}

  static async start(
    options: { maxCachedWorkflows?: number; suggestContinueAsNewAt?: number } = {},
  ): Promise<WorkflowEnvironment> {
    const temporal = await TestWorkflowEnvironment.createLocal({
      server: {
        executable: { type: 'existing-path', path: cli },
        searchAttributes: [...SEARCH_ATTRIBUTE_KEYS],
        extraArgs:
          options.suggestContinueAsNewAt === undefined
            ? []
            : ['--dynamic-config-value', `limit.historyCount.suggestContinueAsNew=${options.suggestContinueAsNewAt}`],
      },
    });
    return WorkflowEnvironment.#over(temporal, options.maxCachedWorkflows ?? 100);
  }

  /** On Temporal's test server, whose clock jumps while nothing goes on. It does not jump while an update is waited for. */
  static async startTimeSkipping(): Promise<WorkflowEnvironment> {
    const { stdout } = await promisify(execFile)(
      path.resolve(import.meta.dirname, '../../setup/time-skipping-server.sh'),
    );
    const temporal = await TestWorkflowEnvironment.createTimeSkipping({
      server: { executable: { type: 'existing-path', path: stdout.trim() } },
    });
    await temporal.connection.operatorService.addSearchAttributes({
      searchAttributes: Object.fromEntries(SEARCH_ATTRIBUTE_KEYS.map(({ name }) => [name, KEYWORD])),
    });
    return WorkflowEnvironment.#over(temporal, 100);
  }

  static async #over(temporal: TestWorkflowEnvironment, maxCachedWorkflows: number): Promise<WorkflowEnvironment> {
    const bundle = await bundleWorkflowCode({
      workflowsPath: path.resolve(import.meta.dirname, '../../workflows/index.ts'),
      logger: new DefaultLogger('ERROR'),
    });
    const client = new TemporalSandboxClient(temporal.connection, temporal.namespace ?? 'default');
    const environment = new WorkflowEnvironment(temporal, client, bundle, []);
    const worker = await Worker.create({
      connection: temporal.nativeConnection,
      taskQueue: CONTROL_TASK_QUEUE,
      workflowBundle: bundle,
      maxCachedWorkflows,
    });
    environment.workers.push({ worker, run: worker.run() });
    return environment;
  }

  /** A host of its own for one test. */
  async host(change: Partial<HostActivities> = {}): Promise<FakeHost> {
    const host = new FakeHost(`host-${randomUUID()}`);
    const { nativeConnection: connection } = this.temporal;
    const activities = { ...host.activities(), ...change };
    for (const kind of STEP_KINDS) {
      const worker = await Worker.create({ connection, taskQueue: stepTaskQueue(kind, host.id), activities });
      this.workers.push({ worker, run: worker.run() });
    }
    return host;
  }

  spec(host: FakeHost, change: Partial<SandboxSpec> = {}): SandboxSpec {
    return {
      id: `i${randomUUID().replaceAll('-', '').slice(0, 20)}`,
      ...{ tenant: 'default', hostId: host.id, templateId: 'base', templateKey: 'key', cpuCount: 2, memoryMiB: 512 },
      ...{ diskMiB: 4096, envdVersion: '0.5.2', metadata: {}, allowInternetAccess: true, timeoutMs: 300_000 },
      ...{ onTimeout: 'kill' as const, autoResume: false, pausedRetentionMs: 30 * 86_400_000 },
      ...change,
    };
  }

  handle(id: string) {
    return this.temporal.client.workflow.getHandle(`sandbox-${id}`);
  }

  /** How many updates of its present run have been accepted so far. */
  async acceptedUpdates(id: string): Promise<number> {
    const { events } = await this.handle(id).fetchHistory();
    return (events ?? []).filter((event) => event.workflowExecutionUpdateAcceptedEventAttributes).length;
  }

  async stop(): Promise<void> {
    for (const { worker } of this.workers) worker.shutdown();
    await Promise.allSettled(this.workers.map(({ run }) => run));
    await this.temporal.teardown();
  }
}
