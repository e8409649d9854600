import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  Client,
  WithStartWorkflowOperation,
  WorkflowExecutionAlreadyStartedError,
  WorkflowIdConflictPolicy,
  type Connection,
} from '@temporalio/client';
import {
  assignUpdate,
  discardUpdate,
  getQuery,
  killSignal,
  killUpdate,
  machineEndedSignal,
  pauseUpdate,
  readyUpdate,
  resumeUpdate,
  rotateTokensUpdate,
  setTimeoutUpdate,
  type PauseInput,
  type ResumeInput,
  type ResumeResult,
  type RotateInput,
  type SetTimeoutInput,
} from '../../workflows/messages.js';
import { CONTROL_TASK_QUEUE, SANDBOX_WORKFLOW_TYPE, sandboxWorkflowId } from '../../workflows/names.js';
import type { sandbox } from '../../workflows/sandbox.js';
import {
  SandboxHostAttribute,
  SandboxStatusAttribute,
  SandboxTemplateAttribute,
  SandboxTenantAttribute,
} from '../../workflows/search-attributes.js';
import { TypedSearchAttributes } from '@temporalio/common';
import { wholeView, type SandboxChange, type SandboxSpec, type SandboxView } from '../../workflows/view.js';
import { traceClient } from '../tracing/temporal-interceptors.js';
import { DormouseError } from './dormouse-error.js';
import { noting, type Attempts } from './attempts.js';
import { isOfEndedRun, isOfFullRun, outcomeUnknown, translateError } from './translate-error.js';

/** How long a caller waits for an outcome; the clients' own limit is 60 s. */
const ANSWER_WITHIN_MS = 55_000;
/** A kill answers sooner or says that it does not know. */
const KILL_WITHIN_MS = 10_000;
const UPDATE_ATTEMPTS = 5;
/** A run that takes no update any more continues as new shortly. */
const FULL_RUN_WAIT_MS = 200;
const QUERY_WITHIN_MS = 5_000;
/** Asked before a call that has its own limit: both together end within the clients' 60 s. */
const IS_ANSWERED_WITHIN_MS = 2_000;
/** With the 2 s that a host has to answer, a client still hears within 5 s that Temporal is away. */
const CONNECT_WITHIN_MS = 2_500;

/** One per workflow: whoever creates the same sandbox again waits for the same answer. */
const READY_UPDATE_ID = 'ready';

/** For people; cannot be changed later, so that of a warm machine it tells nothing of whose it becomes. */
function staticText(spec: SandboxSpec): { staticSummary: string; staticDetails: string } {
  const machine = `host ${spec.hostId}; ${spec.cpuCount} CPUs, ${spec.memoryMiB} MiB`;
  const [of, then] =
    spec.warm === true
      ? ['from the warm pool', 'its owner is among the current details']
      : [`of ${spec.tenant}`, `timeout ${spec.timeoutMs} ms, then ${spec.onTimeout}`];
  return {
    staticSummary: `sandbox ${spec.id} ${of}, template ${spec.templateId}`,
    staticDetails: `${machine}; ${then}`,
  };
}

/** Lifecycle calls to sandbox workflows. @throws DormouseError, always. */
export class TemporalSandboxClient {
  readonly #client: Client;
  readonly #connection: Connection;

  /** @param killWithinMs how long a kill may take to be answered */
  constructor(
    connection: Connection,
    private readonly namespace: string,
    private readonly killWithinMs = KILL_WITHIN_MS,
  ) {
    this.#connection = connection;
    this.#client = new Client({ connection, namespace, interceptors: { workflow: [traceClient] } });
  }

  /** Starts the workflow and answers when the machine runs. `mayExist`: a sandbox of this id that is there already is joined. */
  create(spec: SandboxSpec, options: { mayExist?: boolean } = {}): Promise<SandboxView> {
    return this.#call(spec.id, ANSWER_WITHIN_MS, () =>
      this.#startAndWait(spec, options).catch((error: unknown) => {
        if (options.mayExist !== true || !(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
        // Its workflow has ended; what the first create was answered stands in the history.
        return this.#handle(spec.id).getUpdateHandle<SandboxView>(READY_UPDATE_ID).result();
      }),
    );
  }

  #startAndWait(spec: SandboxSpec, options: { mayExist?: boolean }): Promise<SandboxView> {
    return this.#client.workflow.executeUpdateWithStart(readyUpdate, {
      updateId: READY_UPDATE_ID,
      startWorkflowOperation: new WithStartWorkflowOperation<typeof sandbox>(SANDBOX_WORKFLOW_TYPE, {
        workflowId: sandboxWorkflowId(spec.id),
        taskQueue: CONTROL_TASK_QUEUE,
        args: [{ spec }],
        workflowIdConflictPolicy:
          options.mayExist === true ? WorkflowIdConflictPolicy.USE_EXISTING : WorkflowIdConflictPolicy.FAIL,
        workflowIdReusePolicy: 'REJECT_DUPLICATE',
        typedSearchAttributes: new TypedSearchAttributes([
          { key: SandboxStatusAttribute, value: 'creating' },
          { key: SandboxHostAttribute, value: spec.hostId },
          { key: SandboxTemplateAttribute, value: spec.templateId },
          ...(spec.warm === true ? [] : [{ key: SandboxTenantAttribute, value: spec.tenant }]),
        ]),
        ...staticText(spec),
      }),
    });
  }

  /** A warm machine becomes this sandbox; answers when it runs. `NotWarm` or `NotFound`: another one must be asked for. */
  async assign(spec: SandboxSpec): Promise<SandboxView> {
    // One name for all attempts: a repeat must find its own answer, not its own success as somebody else's.
    const updateId = `assign:${randomUUID()}`;
    const answer = await this.#update(spec.id, ANSWER_WITHIN_MS, () =>
      this.#handle(spec.id).executeUpdate(assignUpdate, { updateId, args: [{ spec }] }),
    );
    return wholeView(spec, answer);
  }

  /** The warm pool gives a machine up; answers when nothing of it is left. `NotWarm`: a create was first. */
  discard(id: string, why: string): Promise<SandboxChange> {
    return this.#update(id, KILL_WITHIN_MS, () => this.#handle(id).executeUpdate(discardUpdate, { args: [{ why }] }));
  }

  pause(id: string, options: PauseInput & { updateId?: string } = {}): Promise<SandboxChange> {
    const { memory = true, ...update } = options;
    return this.#update(id, ANSWER_WITHIN_MS, () =>
      this.#handle(id).executeUpdate(pauseUpdate, { ...update, args: [{ memory }] }),
    );
  }

  resume(id: string, input: ResumeInput, options: { updateId?: string } = {}): Promise<ResumeResult> {
    return this.#update(id, ANSWER_WITHIN_MS, () =>
      this.#handle(id).executeUpdate(resumeUpdate, { ...options, args: [input] }),
    );
  }

  async kill(id: string, options: { updateId?: string } = {}): Promise<SandboxChange> {
    try {
      return await this.#update(id, this.killWithinMs, () =>
        this.#handle(id).executeUpdate(killUpdate, { ...options }),
      );
    } catch (error) {
      const isOpen = error instanceof DormouseError && ['OutcomeUnknown', 'TooManyRequests'].includes(error.code);
      if (isOpen || isOfFullRun(error)) await this.#signalKill(id);
      throw error;
    }
  }

  /** A workflow with ten updates that wait lets no other in, but every signal: a kill must not depend on them. */
  async #signalKill(id: string): Promise<void> {
    await this.#call(id, QUERY_WITHIN_MS, () => this.#handle(id).signal(killSignal)).catch(() => undefined);
  }

  rotateTokens(id: string, input: RotateInput): Promise<SandboxChange> {
    const updateId = `rotate:${input.tokenNonce}`;
    return this.#update(id, ANSWER_WITHIN_MS, () =>
      this.#handle(id).executeUpdate(rotateTokensUpdate, { updateId, args: [input] }),
    );
  }

  setTimeout(id: string, input: SetTimeoutInput): Promise<SandboxChange> {
    return this.#update(id, ANSWER_WITHIN_MS, () =>
      this.#handle(id).executeUpdate(setTimeoutUpdate, { args: [input] }),
    );
  }

  /** The workflow's own view; undefined when there is no such workflow. */
  async get(id: string, { onlyOpen = false } = {}): Promise<SandboxView | undefined> {
    try {
      // A query of one that has ended is a replay of all its history.
      if (onlyOpen && !(await this.#runs(id))) return undefined;
      return await this.#call(id, QUERY_WITHIN_MS, () => this.#handle(id).query(getQuery));
    } catch (error) {
      if (error instanceof DormouseError && error.code === 'NotFound') return undefined;
      throw error;
    }
  }

  /** Whether Temporal has the outcome of the update of this name already; it knows those of the workflow's present run. */
  async isAnswered(id: string, updateId: string): Promise<boolean> {
    const updateRef = { workflowExecution: { workflowId: sandboxWorkflowId(id) }, updateId };
    // Without a stage to wait for, Temporal answers at once how far the update is.
    const request = { namespace: this.namespace, updateRef };
    try {
      const { outcome } = await this.#call(id, IS_ANSWERED_WITHIN_MS, () =>
        this.#connection.workflowService.pollWorkflowExecutionUpdate(request),
      );
      return outcome !== null && outcome !== undefined;
    } catch (error) {
      if (error instanceof DormouseError && error.code === 'Unavailable') throw error;
      return false;
    }
  }

  /** From the host worker: a machine that should run is gone. */
  async machineEnded(id: string, generation: number, reason: string): Promise<void> {
    await this.#call(id, ANSWER_WITHIN_MS, () => this.#handle(id).signal(machineEndedSignal, { generation, reason }));
  }

  /**
   * The SDK's own `ensureConnected` asks once and remembers a failure for ever, so that a Temporal which starts after
   * the api would never be found; and its retries go on past their deadline, hence a timer of ours.
   */
  async #answers(): Promise<void> {
    const asked = this.#connection.workflowService.getSystemInfo({});
    asked.catch(() => undefined);
    const over = new AbortController();
    const tooLate = delay(CONNECT_WITHIN_MS, undefined, { signal: over.signal }).then(() => {
      throw new Error(`Temporal did not answer within ${CONNECT_WITHIN_MS} ms`);
    });
    tooLate.catch(() => undefined);
    await Promise.race([asked, tooLate]).finally(() => over.abort());
  }

  #handle(id: string) {
    return this.#client.workflow.getHandle<typeof sandbox>(sandboxWorkflowId(id));
  }

  /**
   * An update that meets a continue-as-new finds its run over, or is accepted by one that ends before it answers. The
   * sandbox lives on in the next run, so the same update is sent there. So is one that a run refuses for its own length.
   */
  async #update<T>(id: string, withinMs: number, call: () => Promise<T>): Promise<T> {
    const until = Date.now() + withinMs;
    const attempts = { mayHaveHappened: false };
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#call(id, until - Date.now(), call, attempts);
      } catch (error) {
        if (Date.now() + FULL_RUN_WAIT_MS < until && isOfFullRun(error)) {
          await delay(FULL_RUN_WAIT_MS);
          continue;
        }
        const again = attempt < UPDATE_ATTEMPTS && Date.now() < until && isOfEndedRun(error);
        if (!again || !(await this.#runs(id))) throw error;
      }
    }
  }

  async #runs(id: string): Promise<boolean> {
    const { status } = await this.#call(id, QUERY_WITHIN_MS, () => this.#handle(id).describe());
    return status.name === 'RUNNING';
  }

  /** Connects first, under its own short limit: what fails there has certainly done nothing. */
  async #call<T>(
    id: string,
    withinMs: number,
    call: () => Promise<T>,
    attempts: Attempts = { mayHaveHappened: false },
  ): Promise<T> {
    try {
      await this.#answers();
    } catch (error) {
      if (attempts.mayHaveHappened) throw outcomeUnknown(id, error);
      throw new DormouseError('Unavailable', 'Temporal cannot be reached; nothing was done. Try again shortly.', {
        cause: error,
      });
    }
    try {
      return await noting(attempts, () => this.#client.withDeadline(Date.now() + withinMs, call));
    } catch (error) {
      throw translateError(error, id, attempts.mayHaveHappened);
    }
  }
}
