import pLimit from 'p-limit';
import { Client, WorkflowNotFoundError, type Connection } from '@temporalio/client';
import { getQuery } from '../../workflows/messages.js';
import { SANDBOX_WORKFLOW_TYPE, sandboxWorkflowId } from '../../workflows/names.js';
import { SandboxHostAttribute } from '../../workflows/search-attributes.js';
import type { SandboxView } from '../../workflows/view.js';

export interface SandboxRun {
  id: string;
  run: 'open' | 'ended' | 'unknown';
  view?: SandboxView;
  stepSince?: number;
}

const AT_ONCE = 8;
const ANSWER_WITHIN_MS = 10_000;
/** A sandbox that is listed as open is asked for itself in one of so many looks. */
const TURNS = 60;
const RECENTLY_MS = 3_600_000;
/** The last scheduled activity is among these, or the workflow is not in the middle of a step. */
const LAST_EVENTS = 50;

/** What Temporal knows of sandboxes' workflows, for those who look from outside. @throws when it does not answer. */
export class SandboxRuns {
  readonly #client: Client;
  #turn = 0;

  constructor(
    private readonly connection: Connection,
    private readonly namespace: string,
  ) {
    this.#client = new Client({ connection, namespace });
  }

  /** Identity of the namespace: another one means another Temporal, whatever its address. */
  async namespaceId(): Promise<string> {
    const { namespaceInfo } = await this.#within(() =>
      this.connection.workflowService.describeNamespace({ namespace: this.namespace }),
    );
    return namespaceInfo?.id ?? '';
  }

  /** Ids on a host: open ones, and those that ended within the last hour. Eventual: a new one may be missing. */
  async listed(hostId: string): Promise<string[]> {
    const since = new Date(Date.now() - RECENTLY_MS).toISOString();
    return this.#listed(hostId, `(ExecutionStatus = "Running" OR CloseTime > "${since}")`);
  }

  async #listed(hostId: string, which: string): Promise<string[]> {
    const query = `WorkflowType = "${SANDBOX_WORKFLOW_TYPE}" AND ${SandboxHostAttribute.name} = "${hostId}" AND ${which}`;
    const prefix = sandboxWorkflowId('');
    const ids = new Set<string>();
    for await (const { workflowId } of this.#client.workflow.list({ query })) ids.add(workflowId.slice(prefix.length));
    return [...ids];
  }

  /** Whether there is such a workflow, and whether it still runs; strongly consistent. */
  async find(ids: string[]): Promise<SandboxRun[]> {
    return each(ids, async (id) => ({ id, run: await this.#run(id) }));
  }

  /**
   * As `find`, for a host's sandboxes, without a call for each: those that are listed as open count as open, but some that
   * take turns. A list that is late can only make an ended one seem open for a while.
   */
  async findOnHost(hostId: string, ids: string[]): Promise<SandboxRun[]> {
    const open =
      ids.length === 0 ? new Set<string>() : new Set(await this.#listed(hostId, 'ExecutionStatus = "Running"'));
    const doubtful = toDescribe(ids, open, this.#turn++);
    const asked = new Set(doubtful);
    return [
      ...ids.filter((id) => !asked.has(id)).map((id): SandboxRun => ({ id, run: 'open' })),
      ...(await this.find(doubtful)),
    ];
  }

  /** As `find`, and what each open workflow itself says. */
  async ask(ids: string[]): Promise<SandboxRun[]> {
    return each(ids, async (id) => {
      const run = await this.#run(id);
      if (run !== 'open') return { id, run };
      try {
        const view = await this.#within(() => this.#handle(id).query(getQuery));
        const stepSince = await this.#stepSince(id);
        return { id, run, view, ...(stepSince === undefined ? {} : { stepSince }) };
      } catch (error) {
        const now = await this.#run(id);
        if (now === 'open') throw error;
        return { id, run: now };
      }
    });
  }

  /** Ends the workflow at once; its sandbox is the reaper's then. Ended already is fine. */
  async terminate(id: string, reason: string): Promise<void> {
    await this.#within(() => this.#handle(id).terminate(reason)).catch((error: unknown) => {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
    });
  }

  async #run(id: string): Promise<SandboxRun['run']> {
    try {
      const { status } = await this.#within(() => this.#handle(id).describe());
      return status.name === 'RUNNING' || status.name === 'PAUSED' || status.name === 'CONTINUED_AS_NEW'
        ? 'open'
        : 'ended';
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return 'unknown';
      throw error;
    }
  }

  async #stepSince(id: string): Promise<number | undefined> {
    const { history } = await this.#within(() =>
      this.connection.workflowService.getWorkflowExecutionHistoryReverse({
        namespace: this.namespace,
        execution: { workflowId: sandboxWorkflowId(id) },
        maximumPageSize: LAST_EVENTS,
      }),
    );
    const event = history?.events?.find(
      ({ activityTaskScheduledEventAttributes }) => activityTaskScheduledEventAttributes,
    );
    const seconds = event?.eventTime?.seconds ?? undefined;
    return seconds === undefined ? undefined : Number(seconds) * 1000;
  }

  #handle(id: string) {
    return this.#client.workflow.getHandle(sandboxWorkflowId(id));
  }

  #within<T>(call: () => Promise<T>): Promise<T> {
    return this.#client.withDeadline(Date.now() + ANSWER_WITHIN_MS, call);
  }
}

/** Those that are not listed as open, and one of so many of the others, each when it is its turn; pure. */
export const toDescribe = (ids: readonly string[], open: ReadonlySet<string>, turn: number): string[] =>
  [...ids].sort().filter((id, index) => !open.has(id) || index % TURNS === turn % TURNS);

const each = <T>(ids: string[], work: (id: string) => Promise<T>): Promise<T[]> => {
  const limit = pLimit(AT_ONCE);
  return Promise.all(ids.map((id) => limit(() => work(id))));
};
