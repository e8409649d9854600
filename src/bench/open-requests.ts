import type { ClientRequest } from 'node:http';

/** Requests that nobody but their own side ends. */
export class OpenRequests {
  readonly #broken = new Map<ClientRequest, string>();
  #over = false;

  constructor(private readonly requests: readonly ClientRequest[]) {
    for (const request of requests) {
      const broke = (why: string): void => {
        if (!this.#over && !this.#broken.has(request)) this.#broken.set(request, why);
      };
      request.on('error', (error) => broke(error.message));
      request.once('close', () => broke('the other side closed it'));
    }
  }

  /** @throws Error when one of them was not open any more: what was seen beside them was seen beside less. */
  end(): void {
    this.#over = true;
    for (const request of this.requests) request.destroy();
    const [why] = this.#broken.values();
    if (why === undefined) return;
    const { size } = this.#broken;
    throw new Error(`${size} of ${this.requests.length} requests that were to stay open broke off; the first: ${why}`);
  }
}
