import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { requireKey } from './derive.js';
import { KeyError } from './key-error.js';

type TokenKind = 'access' | 'traffic';

/** An id must never contain the dot that ends it in a token. */
const SANDBOX_ID = /^[A-Za-z0-9_-]{1,64}$/;
const NONCE = /^[0-9a-f]{32}$/;

/** What the tokens of a sandbox are derived from; a sandbox's spec is one. */
export interface TokenOwner {
  id: string;
  /**
   * Drawn anew for each sandbox and at each rotation, so that no token outlives either, even when an id comes back. No
   * secret. Absent for sandboxes of versions that had none: they keep the tokens they have.
   */
  tokenNonce?: string | undefined;
}

export const newTokenNonce = (): string => randomBytes(16).toString('hex');

/**
 * The token that opens a sandbox's agent: `<sandbox id>.<base64url of HMAC-SHA256>`. Derived, so never stored, and it
 * says by itself which sandbox it is for.
 *
 * @param tokensKey the master key's subkey `tokens`, 32 bytes
 * @throws KeyError `InvalidKeyArgument` for an id that is not 1 to 64 letters, digits, `-` or `_`
 */
export const accessToken = (tokensKey: Buffer, owner: TokenOwner): string => token(tokensKey, 'access', owner);

/** The token that opens a sandbox's public ports when traffic is restricted; same form, does not open the agent. */
export const trafficToken = (tokensKey: Buffer, owner: TokenOwner): string => token(tokensKey, 'traffic', owner);

/** The sandbox that a token claims to be for: good for routing, proves nothing. Undefined when it is not a token. */
export function sandboxIdOfToken(token: string): string | undefined {
  const dot = token.indexOf('.');
  const id = token.slice(0, Math.max(dot, 0));
  return SANDBOX_ID.test(id) ? id : undefined;
}

/** Whether `presented` is the access token of this sandbox. Constant time in its content. */
export const verifyAccessToken = (tokensKey: Buffer, owner: TokenOwner, presented: string): boolean =>
  equal(accessToken(tokensKey, owner), presented);

/** Whether `presented` is the traffic token of this sandbox. Constant time in its content. */
export const verifyTrafficToken = (tokensKey: Buffer, owner: TokenOwner, presented: string): boolean =>
  equal(trafficToken(tokensKey, owner), presented);

function token(tokensKey: Buffer, kind: TokenKind, { id, tokenNonce }: TokenOwner): string {
  requireKey(tokensKey);
  if (!SANDBOX_ID.test(id)) throw new KeyError('InvalidKeyArgument', `${JSON.stringify(id)} cannot be a sandbox id`);
  if (tokenNonce !== undefined && !NONCE.test(tokenNonce)) {
    throw new KeyError('InvalidKeyArgument', `sandbox ${id} has a token nonce that cannot be one`);
  }
  const text = `dormouse/v1/token/${kind}/${id}${tokenNonce === undefined ? '' : `/${tokenNonce}`}`;
  return `${id}.${createHmac('sha256', tokensKey).update(text).digest('base64url')}`;
}

function equal(expected: string, presented: string): boolean {
  const left = Buffer.from(expected);
  const right = Buffer.from(presented);
  return left.length === right.length && timingSafeEqual(left, right);
}
