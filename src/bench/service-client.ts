/** The service as a client sees it, timed. Seconds. */
export class ServiceClient {
  constructor(
    private readonly api: string,
    private readonly proxy: string,
    private readonly apiKey: string,
  ) {}

  async create(): Promise<{ id: string; token: string; seconds: number }> {
    const { seconds, value } = await this.#call('POST', '/sandboxes', { templateID: 'base', timeout: 3_600 }, 201);
    const { sandboxID, envdAccessToken } = value as { sandboxID: string; envdAccessToken: string };
    return { id: sandboxID, token: envdAccessToken, seconds };
  }

  pause = async (id: string): Promise<number> => (await this.#call('POST', `/sandboxes/${id}/pause`, {}, 204)).seconds;
  connect = async (id: string): Promise<number> =>
    (await this.#call('POST', `/sandboxes/${id}/connect`, { timeout: 3_600 }, 201)).seconds;
  kill = async (id: string): Promise<number> =>
    (await this.#call('DELETE', `/sandboxes/${id}`, undefined, 204)).seconds;

  /** Runs a command to its end. @returns seconds until its output was there. */
  async run(sandbox: { id: string; token: string }, command: string): Promise<number> {
    const message = Buffer.from(
      JSON.stringify({ process: { cmd: '/bin/bash', args: ['-l', '-c', command] }, stdin: false }),
    );
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    const start = performance.now();
    const response = await fetch(`${this.proxy}/process.Process/Start`, {
      method: 'POST',
      headers: {
        'content-type': 'application/connect+json',
        'connect-protocol-version': '1',
        'x-access-token': sandbox.token,
        'e2b-sandbox-id': sandbox.id,
        'e2b-sandbox-port': '49983',
      },
      body: Buffer.concat([head, message]),
    });
    const text = await response.text();
    if (!response.ok || !text.includes('"end"'))
      throw new Error(`a command failed: ${response.status} ${text.slice(0, 300)}`);
    return (performance.now() - start) / 1000;
  }

  async #call(method: string, path: string, body: object | undefined, expected: number) {
    const start = performance.now();
    const response = await fetch(`${this.api}${path}`, {
      method,
      headers: { 'x-api-key': this.apiKey, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const seconds = (performance.now() - start) / 1000;
    if (response.status !== expected) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
    return { seconds, value: text === '' ? undefined : (JSON.parse(text) as unknown) };
  }
}
