import { randomBytes } from 'node:crypto';
import type { AgentDoor } from './run-command.js';

const STILL_GOING_ON = 504;
const LONGEST_SECONDS = 300;

/** A call, as the client saw it. */
export interface Timed {
  seconds: number;
  /** Id of its trace. */
  trace: string;
}

export interface Sandbox {
  id: string;
  token: string;
}

/** The service as a client sees it, timed. Every call is a trace of its own. */
export class ServiceClient {
  constructor(private readonly service: { api: string; proxy: string; apiKey: string }) {}

  /** @param more of the request's body */
  async create(more: object = {}): Promise<Timed & { sandbox: Sandbox }> {
    const body = { templateID: 'base', timeout: 3_600, ...more };
    const { value, ...timed } = await this.call('POST', '/sandboxes', body, 201);
    const { sandboxID, envdAccessToken } = value as { sandboxID: string; envdAccessToken: string };
    return { ...timed, sandbox: { id: sandboxID, token: envdAccessToken } };
  }

  pause = ({ id }: Sandbox): Promise<Timed> => this.call('POST', `/sandboxes/${id}/pause`, {}, 204, 409);
  connect = ({ id }: Sandbox): Promise<Timed> =>
    this.call('POST', `/sandboxes/${id}/connect`, { timeout: 3_600 }, 201, 200);
  kill = ({ id }: Sandbox): Promise<Timed> => this.call('DELETE', `/sandboxes/${id}`, undefined, 204);

  /** A port of a guest, through the data plane. Default: its agent's. */
  door({ id, token }: Sandbox, port = 49_983): AgentDoor {
    return {
      url: this.service.proxy,
      headers: { 'x-access-token': token, 'e2b-sandbox-id': id, 'e2b-sandbox-port': String(port) },
    };
  }

  /**
   * @param joined to make the call again when it is answered with 504: that joins what goes on, and the time is that of
   *   all together; with this it is answered when what went on is over by then
   * @throws Error when the answer is not the expected one.
   */
  async call(
    method: string,
    path: string,
    body: object | undefined,
    expected: number,
    joined?: number,
  ): Promise<Timed & { value: unknown }> {
    const trace = randomBytes(16).toString('hex');
    const start = performance.now();
    for (let repeated = false; ; repeated = true) {
      const response = await fetch(`${this.service.api}${path}`, {
        method,
        headers: {
          'x-api-key': this.service.apiKey,
          traceparent: `00-${trace}-${randomBytes(8).toString('hex')}-01`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      const seconds = (performance.now() - start) / 1000;
      if (response.status === expected || (repeated && response.status === joined)) {
        return { seconds, trace, value: text === '' ? undefined : (JSON.parse(text) as unknown) };
      }
      const goesOn = joined !== undefined && response.status === STILL_GOING_ON && seconds < LONGEST_SECONDS;
      if (!goesOn) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
    }
  }
}
