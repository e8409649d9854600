import { ActivityNotFoundError, AsyncCompletionClient, type Connection } from '@temporalio/client';
import { ApplicationFailure, NamespaceNotFoundError } from '@temporalio/common';

/** Says how steps ended whose own worker cannot. */
export class StepClient {
  readonly #client: AsyncCompletionClient;

  constructor(connection: Connection, namespace: string) {
    this.#client = new AsyncCompletionClient({ connection, namespace });
  }

  /** The step is tried again, as its retry policy says. One that is over already, or another Temporal's, is left alone. */
  async fail(taskToken: Uint8Array): Promise<void> {
    const why = ApplicationFailure.retryable('the host worker ended in the middle of this step', 'HostFailure');
    await this.#client.fail(taskToken, why).catch((error: unknown) => {
      if (!(error instanceof ActivityNotFoundError || error instanceof NamespaceNotFoundError)) throw error;
    });
  }
}
