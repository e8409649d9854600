import { expect } from 'vitest';
import type { RunningService } from './running-service.js';

/** The REST API as a script uses it. */
export class ApiClient {
  constructor(private readonly service: Pick<RunningService, 'config' | 'apiKey'>) {}

  async call(
    method: string,
    path: string,
    body?: object,
    key = this.service.apiKey,
    more: Record<string, string> = {},
  ): Promise<{ status: number; body: unknown; headers: Headers }> {
    const response = await fetch(`http://127.0.0.1:${this.service.config.apiPort}${path}`, {
      method,
      headers: { 'x-api-key': key, ...more, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? undefined : JSON.parse(text), headers: response.headers };
  }

  /** @returns the id of a new sandbox. */
  async create(body: object = {}): Promise<string> {
    const answer = await this.call('POST', '/sandboxes', { templateID: 'base', timeout: 300, ...body });
    expect(answer.status, JSON.stringify(answer.body)).toBe(201);
    return (answer.body as { sandboxID: string }).sandboxID;
  }

  /**
   * Connects as the contract says: a 504 means that the work goes on, and the same request again joins it. A boot under
   * emulation takes longer than an answer may, when the machine has other things to do.
   */
  async connect(id: string, body: object = {}): Promise<{ status: number; requests: number }> {
    for (let requests = 1; ; requests++) {
      const { status, headers } = await this.call('POST', `/v2/sandboxes/${id}/connect`, { timeout: 600, ...body });
      if (status !== 504) return { status, requests };
      expect(headers.get('should-retry')).toBe('false');
    }
  }

  /** `running`, `paused`, or the HTTP status of the refusal. */
  async state(id: string): Promise<string | number> {
    const answer = await this.call('GET', `/sandboxes/${id}`);
    return answer.status === 200 ? (answer.body as { state: string }).state : answer.status;
  }
}
