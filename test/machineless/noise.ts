import { appendFile } from 'node:fs/promises';
import { request, type ClientRequest } from 'node:http';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { domainName } from '../../activities/machine.js';
import { TRICKLED, TRICKLING } from '../../src/bench/machineless/fake-agent.js';
import { OpenRequests } from '../../src/bench/open-requests.js';
import type { MachinelessService } from './machineless-service.js';

export const PLAIN = 30;
export const STREAMS = 20;

export const doorOf = (id: string, token: string): Record<string, string> => ({
  ...{ 'x-access-token': token, 'e2b-sandbox-id': id, 'e2b-sandbox-port': '49983' },
});

/** Its guest writes for as long as its virtual CPUs run. @returns ends that */
export function growsWhileItRuns({ config, host }: MachinelessService, id: string): () => Promise<void> {
  const overlay = path.join(config.stateDir, 'sandboxes', id, 'overlay.qcow2');
  const fourMiB = Buffer.alloc(4 * 1024 * 1024, 1);
  let over = false;
  const growing = (async () => {
    for (; !over; await delay(100)) if (await host.isRunning(domainName(id))) await appendFile(overlay, fourMiB);
  })();
  growing.catch(() => undefined);
  return () => {
    over = true;
    return growing;
  };
}

export interface Trickle {
  /** Whole frames that came on each stream so far. */
  frames: () => number[];
  /** @throws Error when not all were open until now. */
  end: () => void;
}

/** Requests whose bodies trickle, and streams whose frames do. Each stream has brought one by then. */
export async function trickle({ config }: MachinelessService, id: string, token: string): Promise<Trickle> {
  const open = (at: string, headers = {}): ClientRequest =>
    request({
      ...{ host: '127.0.0.1', port: config.proxyPort, method: 'POST', path: at, agent: false },
      headers: { ...doorOf(id, token), ...headers },
    });
  const plain = Array.from({ length: PLAIN }, () => open('/anything', { 'transfer-encoding': 'chunked' }));
  const streams = Array.from({ length: STREAMS }, () =>
    open(TRICKLING, { 'content-type': 'application/connect+json' }),
  );
  const all = new OpenRequests([...plain, ...streams]);
  const bytes = streams.map(() => 0);
  streams.forEach((stream, number) => {
    stream.once('response', (answer) => {
      answer.on('error', () => undefined);
      answer.on('data', (some: Buffer) => (bytes[number]! += some.length));
    });
    stream.end('{}');
  });
  const writing = setInterval(() => plain.forEach((one) => one.write('x')), 500);
  const frames = (): number[] => bytes.map((count) => Math.floor(count / TRICKLED.length));
  await expect.poll(() => frames().every((count) => count > 0), { timeout: 60_000 }).toBe(true);
  return {
    frames,
    end: () => {
      clearInterval(writing);
      all.end();
    },
  };
}
