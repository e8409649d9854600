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
