import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, type Connection } from '@temporalio/client';
import { TypedSearchAttributes } from '@temporalio/common';
import { getQuery } from '../../../workflows/messages.js';
import { CONTROL_TASK_QUEUE, SANDBOX_WORKFLOW_TYPE, sandboxWorkflowId } from '../../../workflows/names.js';
import type { SandboxInput } from '../../../workflows/sandbox.js';
import {
  SandboxHostAttribute,
  SandboxStatusAttribute,
  SandboxTemplateAttribute,
  SandboxTenantAttribute,
} from '../../../workflows/search-attributes.js';
import { newState, type SandboxState } from '../../../workflows/state.js';
import type { SandboxView } from '../../../workflows/view.js';
import { randomSandboxId } from '../../api/sandbox-id.js';
import { writeManifest, type Manifest } from '../../host/manifest.js';
import { StatePaths } from '../../host/state-paths.js';
import { fileMasterKey } from '../../keys/master-key.js';
import type { MachinelessService } from './machineless-service.js';
import { inLanes } from './lanes.js';

const AT_ONCE = 32;
/** Task queues are almost in order: with so many of the last ones all have begun. */
const LAST = 100;
const SLEEPS_WITHIN_MS = 300_000;
const LOOK_EVERY_MS = 200;

export interface Seeded {
  id: string;
  /** Epoch milliseconds. */
  expiresAt: number;
}

/**
 * Many sleeping sandboxes in little time: each has the files and the manifest of one that was really paused, under an id
 * of its own, and a workflow that begins asleep, as after a continue-as-new. Their images cannot be opened. Call it
 * while the host worker does not run: it reads manifests at its start.
 */
export class Seeder {
  private constructor(
    private readonly paths: StatePaths,
    private readonly model: Manifest,
    private readonly files: ReadonlyMap<string, Buffer>,
    private readonly client: Client,
    private readonly manifestsKey: Buffer,
  ) {}

  /** Pauses a sandbox to be the model of the others. */
  static async start({ client, config }: MachinelessService, connection: Connection): Promise<Seeder> {
    const paths = new StatePaths(config.stateDir);
    const { sandbox } = await client.create({ metadata: { kind: 'seeded' } });
    await client.pause(sandbox);
    const { directory, manifest } = paths.sandbox(sandbox.id);
    const model = JSON.parse(await readFile(manifest, 'utf8')) as Manifest & { mac?: string };
    delete model.mac;
    const names = (await readdir(directory)).filter((name) => name !== path.basename(manifest));
    const files = await Promise.all(
      names.map(async (name) => [name, await readFile(path.join(directory, name))] as const),
    );
    const temporal = new Client({ connection, namespace: config.temporal.namespace });
    const masterKey = await fileMasterKey(config.masterKeyFile);
    return new Seeder(paths, model, new Map(files), temporal, masterKey.derive('manifests'));
  }

  /** @param expiryOf when each is removed, epoch milliseconds; absent: in 30 days or whatever the service is set to */
  async seed(count: number, expiryOf?: (index: number) => number): Promise<Seeded[]> {
    const seeded: Seeded[] = [];
    await inLanes(AT_ONCE, count, async (index) => {
      const view = this.#view(randomSandboxId(), expiryOf?.(index));
      await this.#write(view);
      await this.#startWorkflow(view);
      seeded.push({ id: view.spec.id, expiresAt: view.endAt });
    });
    for (const { id } of seeded.slice(-LAST)) await this.#untilItSleeps(id);
    return seeded;
  }

  /** A start is answered before any worker has taken it up. @throws Error when none does. */
  async #untilItSleeps(id: string): Promise<void> {
    const handle = this.client.workflow.getHandle(sandboxWorkflowId(id));
    const end = Date.now() + SLEEPS_WITHIN_MS;
    for (;;) {
      const view = await handle.query(getQuery).catch(() => undefined);
      if (view?.status === 'paused') return;
      if (Date.now() > end) throw new Error(`no control worker took up the workflow of sandbox ${id}`);
      await delay(LOOK_EVERY_MS);
    }
  }

  #view(id: string, expiresAt: number | undefined): SandboxView {
    const { view } = this.model;
    const pausedAt = Date.now();
    const pausedRetentionMs = expiresAt === undefined ? view.spec.pausedRetentionMs : expiresAt - pausedAt;
    const spec = { ...view.spec, id, pausedRetentionMs };
    return { ...view, spec, pausedAt, startedAt: pausedAt, endAt: pausedAt + pausedRetentionMs };
  }

  async #write(view: SandboxView): Promise<void> {
    const { directory } = this.paths.sandbox(view.spec.id);
    await mkdir(directory, { mode: 0o711 });
    for (const [name, content] of this.files) await writeFile(path.join(directory, name), content);
    await writeManifest(this.paths, { ...this.model, id: view.spec.id, view }, this.manifestsKey);
  }

  async #startWorkflow(view: SandboxView): Promise<void> {
    const { spec } = view;
    const state: SandboxState = {
      ...newState(spec, view.startedAt),
      ...{ desired: 'paused', status: 'paused', generation: view.generation, reason: view.reason },
      ...{ pausedAt: view.pausedAt ?? null, image: view.image ?? null },
    };
    const input: SandboxInput = { spec, state };
    await this.client.workflow.start(SANDBOX_WORKFLOW_TYPE, {
      workflowId: sandboxWorkflowId(spec.id),
      taskQueue: CONTROL_TASK_QUEUE,
      args: [input],
      typedSearchAttributes: new TypedSearchAttributes([
        { key: SandboxStatusAttribute, value: 'paused' },
        { key: SandboxHostAttribute, value: spec.hostId },
        { key: SandboxTemplateAttribute, value: spec.templateId },
        { key: SandboxTenantAttribute, value: spec.tenant },
      ]),
    });
  }
}
