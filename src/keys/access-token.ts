import { createHmac, timingSafeEqual } from 'node:crypto';
import { requireKey } from './derive.js';
import { KeyError } from './key-error.js';

type TokenKind = 'access' | 'traffic';

/** An id must never contain the dot that ends it in a token. */
const SANDBOX_ID = /^[A-Za-z0-9_-]{1,64}$/;

/**
 * The token that opens a sandbox's agent: `<sandbox id>.<base64url of HMAC-SHA256>`. Derived, so never stored, and it
 * says by itself which sandbox it is for.
 *
 * @param tokensKey the master key's subkey `tokens`, 32 bytes
 * @throws KeyError `InvalidKeyArgument` for an id that is not 1 to 64 letters, digits, `-` or `_`
 */
export const accessToken = (tokensKey: Buffer, sandboxId: string): string => token(tokensKey, 'access', sandboxId);

/** The token that opens a sandbox's public ports when traffic is restricted; same form, does not open the agent. */
export const trafficToken = (tokensKey: Buffer, sandboxId: string): string => token(tokensKey, 'traffic', sandboxId);

/** The sandbox that a token claims to be for: good for routing, proves nothing. Undefined when it is not a token. */
export function sandboxIdOfToken(token: string): string | undefined {
  const dot = token.indexOf('.');
  const id = token.slice(0, Math.max(dot, 0));
  return SANDBOX_ID.test(id) ? id : undefined;
}

/** Whether `presented` is the access token of this sandbox. Constant time in its content. */
export const verifyAccessToken = (tokensKey: Buffer, sandboxId: string, presented: string): boolean =>
  equal(accessToken(tokensKey, sandboxId), presented);

/** Whether `presented` is the traffic token of this sandbox. Constant time in its content. */
export const verifyTrafficToken = (tokensKey: Buffer, sandboxId: string, presented: string): boolean =>
  equal(trafficToken(tokensKey, sandboxId), presented);

function token(tokensKey: Buffer, kind: TokenKind, sandboxId: string): string {
  requireKey(tokensKey);
  if (!SANDBOX_ID.test(sandboxId)) {
    throw new KeyError('InvalidKeyArgument', `${JSON.stringify(sandboxId)} cannot be a sandbox id`);
  }
  const mac = createHmac('sha256', tokensKey).update(`dormouse/v1/token/${kind}/${sandboxId}`).digest('base64url');
  return `${sandboxId}.${mac}`;
}

function equal(expected: string, presented: string): boolean {
  const left = Buffer.from(expected);
  const right = Buffer.from(presented);
  return left.length === right.length && timingSafeEqual(left, right);
}
