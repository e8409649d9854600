import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

const ANSWER_WITHIN_MS = 70_000;
const PANICS_WITHIN_MS = 3_000;
const NONCE_FILES = { memory: '/dev/shm/nonce', disk: '/root/nonce' };

/** A sandbox of the run, and what only its memory (or, where it is booted again, its disk) knows. */
export interface Guest {
  id: string;
  token: string;
  nonce: string;
  bootId: string;
  keeps: 'memory' | 'disk';
}

export interface Answer {
  /** 0: no answer at all, the connection broke. */
  status: number;
  body: unknown;
}

/** The service as a client sees it, and the proof that a guest's memory went on. */
export class ChaosClient {
  constructor(private readonly service: { api: string; proxy: string; apiKey: string }) {}

  async call(method: string, path: string, body?: object, api = this.service.api): Promise<Answer> {
    try {
      const response = await fetch(`${api}${path}`, {
        method,
        headers: { 'x-api-key': this.service.apiKey, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
      });
      const text = await response.text();
      return { status: response.status, body: text === '' ? undefined : (JSON.parse(text) as unknown) };
    } catch (error) {
      return { status: 0, body: error instanceof Error ? (error.cause ?? error).toString() : String(error) };
    }
  }

  /** Puts a nonce where the guest is to keep it, its RAM or its disk, and remembers its boot. */
  async mark(id: string, token: string, keeps: Guest['keeps'] = 'memory'): Promise<Guest> {
    const nonce = randomBytes(16).toString('hex');
    await this.#file(id, token, NONCE_FILES[keeps], nonce);
    return { id, token, nonce, bootId: await this.#file(id, token, '/proc/sys/kernel/random/boot_id'), keeps };
  }

  /** Traffic to the guest, as anyone's: one request, answered by the guest, or not. */
  async visit({ id, token }: { id: string; token: string }): Promise<Answer> {
    return fetch(this.#urlOf('/proc/uptime'), {
      headers: headersOf(id, token),
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    }).then(
      async (response) => ({ status: response.status, body: await response.text() }),
      (error: Error) => ({ status: 0, body: String(error.cause ?? error) }),
    );
  }

  /** Its kernel panics; what was asked for is not answered. */
  async panic({ id, token }: Pick<Guest, 'id' | 'token'>): Promise<void> {
    const process = { cmd: '/bin/sh', args: ['-c', 'echo c > /proc/sysrq-trigger'], envs: {} };
    const message = Buffer.from(JSON.stringify({ process, stdin: false }));
    const envelope = Buffer.alloc(5);
    envelope.writeUInt32BE(message.length, 1);
    await fetch(`${this.service.proxy}/process.Process/Start`, {
      method: 'POST',
      headers: {
        ...headersOf(id, token),
        ...{ authorization: `Basic ${Buffer.from('root:').toString('base64')}` },
        ...{ 'content-type': 'application/connect+json', 'connect-protocol-version': '1' },
      },
      body: Buffer.concat([envelope, message]),
      signal: AbortSignal.timeout(PANICS_WITHIN_MS),
    }).then(
      (response) => response.text().catch(() => undefined),
      () => undefined,
    );
  }

  /** @returns what is wrong, or undefined: the very same memory, never booted again; or the very same disk. */
  async prove(guest: Guest): Promise<string | undefined> {
    try {
      const nonce = await this.#file(guest.id, guest.token, NONCE_FILES[guest.keeps]);
      if (nonce !== guest.nonce) return `the nonce in its ${guest.keeps} is "${nonce}", not "${guest.nonce}"`;
      if (guest.keeps === 'disk') return undefined;
      const bootId = await this.#file(guest.id, guest.token, '/proc/sys/kernel/random/boot_id');
      return bootId === guest.bootId ? undefined : `it was booted again: boot id ${bootId}, not ${guest.bootId}`;
    } catch (error) {
      return `it does not answer: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  /** Reads a guest's file, or writes it. Answers of a proxy that has only just started are asked for again. */
  async #file(id: string, token: string, file: string, content?: string): Promise<string> {
    let last = '';
    for (let attempt = 0; attempt < 10; attempt++) {
      const response = await fetch(this.#urlOf(file), {
        method: content === undefined ? 'GET' : 'POST',
        headers: headersOf(id, token),
        ...(content === undefined ? {} : { body: content }),
        signal: AbortSignal.timeout(20_000),
      }).catch((error: unknown) => error as Error);
      if (response instanceof Error) last = String(response.cause ?? response);
      else {
        const text = (await response.text()).trim();
        if (response.ok) return text;
        last = `${response.status} ${text.slice(0, 200)}`;
      }
      await delay(500);
    }
    throw new Error(last);
  }

  #urlOf(file: string): string {
    return `${this.service.proxy}/files?username=root&path=${encodeURIComponent(file)}`;
  }
}

const headersOf = (id: string, token: string): Record<string, string> => ({
  ...{ 'x-access-token': token, 'e2b-sandbox-id': id, 'e2b-sandbox-port': '49983' },
  'content-type': 'application/octet-stream',
});
