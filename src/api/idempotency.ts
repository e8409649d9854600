import { createHmac } from 'node:crypto';
import type { SandboxView } from '../../workflows/view.js';
import { newTokenNonce } from '../keys/access-token.js';
import { ApiError, codeOf } from './errors.js';
import type { SandboxClient } from './sandbox-client.js';

/**
 * What a create asks for, as a digest that tells nothing to who does not have `key`: it is kept with the sandbox, where
 * people can read it. The order of fields does not matter, nor whether an empty one is there.
 */
export function requestDigest(key: Buffer, request: object): string {
  const sorted = (_name: string, value: unknown): unknown =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(
          Object.entries(value)
            .filter(([, inner]) => !isEmpty(inner))
            .sort(),
        )
      : value;
  const text = `dormouse/v1/idempotent-request/${JSON.stringify(request, sorted)}`;
  return createHmac('sha256', key).update(text).digest('hex');
}

/** @throws ApiError `IdempotencyConflict` when the sandbox was made by another request under the same key */
export function requireSameRequest(view: SandboxView, digest: string): SandboxView {
  if (view.spec.requestDigest === digest) return view;
  throw conflict(`was used for another request, which made sandbox ${view.spec.id}. Use another key for this one`);
}

/**
 * The answer to a repeat whose first request is known already: what that one was answered, once it is.
 *
 * @throws ApiError what the first create failed with, or `IdempotencyConflict` when its sandbox has ended since
 */
export async function answerAgain(client: SandboxClient, known: SandboxView, digest: string): Promise<SandboxView> {
  requireSameRequest(known, digest);
  // Should its workflow be gone by now, the sandbox that this makes is another one.
  const spec = { ...known.spec, tokenNonce: newTokenNonce() };
  const view = await client.create(spec, { mayExist: true }).catch((error: unknown) => {
    if (hasEnded(known) && codeOf(error) === 'NotFound') return known;
    throw error;
  });
  if (!hasEnded(known)) return view;
  throw conflict(`made sandbox ${known.spec.id}, which has ended (${known.reason}). Use another key for another one`);
}

const hasEnded = ({ status }: SandboxView): boolean =>
  status === 'killing' || status === 'killed' || status === 'failed';

const conflict = (what: string): ApiError =>
  new ApiError('IdempotencyConflict', `the Idempotency-Key of this request ${what}.`);

const isEmpty = (value: unknown): boolean =>
  value === null || value === undefined || (typeof value === 'object' && Object.keys(value).length === 0);
