import type { Refusal } from '../relay/refuse.js';

/** Contract 3.4. The SDKs look for these very words. */
export const notFound = (sandboxId: string): Refusal => ({
  status: 502,
  body: { sandboxId, message: 'The sandbox was not found', code: 502 },
});

export const portClosed = (sandboxId: string, port: number): Refusal => ({
  status: 502,
  body: { sandboxId, message: 'The sandbox is running but port is not open', port, code: 502 },
});

/** Refused at the gate: the request has not reached the guest, and can be sent again. */
export const changingState = (sandboxId: string): Refusal => ({
  status: 409,
  body: { sandboxId, message: 'The sandbox is changing its state; send the request again in a moment', code: 409 },
  headers: { 'retry-after': '1' },
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

/** Ends a Connect stream. Clients look for `was not found` here too; for other words they ask `/health`. */
export const streamCut = (stopped: boolean): { code: string; message: string } => ({
  code: 'unavailable',
  message: stopped
    ? 'The sandbox was not found: it was paused or ended while this stream was open'
    : 'The connection to the sandbox ended before this stream did',
});
