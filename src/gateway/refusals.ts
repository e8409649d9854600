import type { Refusal } from '../relay/refuse.js';
import { GATEWAY_ASLEEP_HEADER, type Asleep } from './wire.js';

/** Contract 3.4. The SDKs look for these very words. */
export const notFound = (sandboxId: string): Refusal => ({
  status: 502,
  body: { sandboxId, message: 'The sandbox was not found', code: 502 },
});

export const portClosed = (sandboxId: string, port: number): Refusal => ({
  status: 502,
  body: { sandboxId, message: 'The sandbox is running but port is not open', port, code: 502 },
});

/** It took the connection, and then gave nothing that can be passed on. */
export const noAnswer = (sandboxId: string, port: number): Refusal => ({
  status: 502,
  body: {
    sandboxId,
    message:
      'The sandbox is running, but what listens on the port gave no valid HTTP answer; whether the request took ' +
      'effect is not known',
    port,
    code: 502,
  },
});

export const tooManyConnections = (sandboxId: string, connectionLimit: number): Refusal => ({
  status: 429,
  body: {
    sandboxId,
    message: `The sandbox has ${connectionLimit} connections open, which is the most; end some, or try again later`,
    code: 429,
    connectionLimit,
  },
  headers: { 'retry-after': '1' },
});

/** To clients the same as none; the proxy may wake it. */
export const asleep = (sandboxId: string): Refusal => ({
  ...notFound(sandboxId),
  headers: { [GATEWAY_ASLEEP_HEADER]: 'saved' satisfies Asleep },
});

/** Refused at the gate: the request has not reached the guest, and can be sent again. */
export const changingState = (sandboxId: string): Refusal => ({
  status: 409,
  body: { sandboxId, message: 'The sandbox is changing its state; send the request again in a moment', code: 409 },
  headers: { 'retry-after': '1', [GATEWAY_ASLEEP_HEADER]: 'changing' satisfies Asleep },
});

/** The machine stopped under a request that had reached it. */
export const cutByPause = (sandboxId: string): Refusal => ({
  status: 409,
  body: {
    sandboxId,
    message: 'The sandbox stopped before it answered; whether the request took effect is not known',
    code: 409,
  },
});

/** Ends a Connect stream. `stopped`: by the sandbox's end, or its pause. */
export const streamCut = (stopped: boolean): { code: string; message: string } => ({
  code: 'unavailable',
  message: stopped
    ? 'The sandbox was killed or reached its end of life while the request was in flight, or it was paused'
    : 'The connection to the sandbox ended before this stream did',
});
