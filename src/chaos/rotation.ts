import { setTimeout as delay } from 'node:timers/promises';
import type { Answer, Guest } from './guest.js';
import type { Step } from './plan.js';
import type { Rig } from './rig.js';

const TIMES = 10;

export const ROTATIONS: ReadonlySet<Step> = new Set(['rotate', 'rotate-paused']);

export const rotate = (rig: Rig, { id }: Pick<Guest, 'id'>): Promise<Answer> =>
  rig.client.call('POST', `/sandboxes/${id}/tokens/rotate`, {});

/** The token that a rotation was answered with; undefined where it was not acknowledged. */
export const newToken = ({ status, body }: Answer): string | undefined =>
  status === 200 ? (body as { envdAccessToken?: string }).envdAccessToken : undefined;

/**
 * The sandbox with the token that it has now. A rotation that was not acknowledged is asked for again, as its caller
 * would: a token that leaked has to go.
 *
 * @returns undefined when the sandbox has ended. @throws Error when a rotation without a fault fails.
 */
export async function withNewToken(rig: Rig, guest: Guest, answer: Answer): Promise<Guest | undefined> {
  let last = answer;
  for (let time = 0; time < TIMES; time++) {
    const token = newToken(last);
    if (token !== undefined) return { ...guest, token };
    if (last.status === 404) return undefined;
    await delay(500);
    last = await rotate(rig, guest);
  }
  throw new Error(`rotation without a fault: ${last.status} ${JSON.stringify(last.body)}`);
}

/** Of a sandbox that runs. @returns what is wrong, or undefined. */
export async function stillOpens(rig: Rig, { id, token }: Guest, now: string): Promise<string | undefined> {
  if (token === now) return `sandbox ${id} has the token after its rotation that it had before`;
  const { status } = await rig.client.visit({ id, token });
  if (status === 401 || status === 403) return undefined;
  return `a token of sandbox ${id} from before its rotation was answered ${status}`;
}
