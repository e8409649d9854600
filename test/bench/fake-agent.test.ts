import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { fakeAgent, TRICKLED, TRICKLING } from '../../src/bench/machineless/fake-agent.js';
import { readStream } from '../../src/bench/run-command.js';

test('a fake agent’s stream comes a byte at a time, and is made of whole frames of output', async () => {
  const agent = fakeAgent('boot');
  await once(agent.listen(0, '127.0.0.1'), 'listening');
  try {
    const url = `http://127.0.0.1:${(agent.address() as AddressInfo).port}`;
    const answer = await fetch(`${url}${TRICKLING}`, { method: 'POST' });
    expect(answer.headers.get('content-type')).toBe('application/connect+json');
    const pieces: Uint8Array[] = [];
    for await (const piece of answer.body!) {
      pieces.push(piece as Uint8Array);
      if (Buffer.concat(pieces).length >= 2 * TRICKLED.length) break;
    }
    expect(pieces.length).toBeGreaterThan(TRICKLED.length);
    expect(readStream(Buffer.concat(pieces).subarray(0, 2 * TRICKLED.length)).output).toBe('xx');
  } finally {
    agent.close();
    agent.closeAllConnections();
  }
});
