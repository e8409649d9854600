import { createHash, timingSafeEqual } from 'node:crypto';
import type { TokenOwner } from '../keys/access-token.js';

/** A `GET` or `POST /files` that shows a signature instead of a token (contract 4.6). */
export interface SignedFile {
  path: string;
  operation: 'read' | 'write';
  user: string;
  expiration: string | undefined;
  signature: string;
}

/** @returns undefined when the request carries no signature. */
export function readSignature(method: string, url: URL): SignedFile | undefined {
  const signature = url.searchParams.get('signature');
  const operation = method === 'GET' || method === 'HEAD' ? 'read' : method === 'POST' ? 'write' : undefined;
  if (signature === null || operation === undefined || url.pathname !== '/files') return undefined;
  return {
    path: url.searchParams.get('path') ?? '',
    operation,
    user: url.searchParams.get('username') ?? '',
    expiration: url.searchParams.get('signature_expiration') ?? undefined,
    signature,
  };
}

/** Clients compare these very words. */
export const SIGNATURE_ENDED = 'signature is already expired';

/** Whether the signature no longer opens anything, or never did: its end is past or no number of seconds. */
export const signatureEnded = ({ expiration }: SignedFile, now: number): boolean =>
  expiration !== undefined && !(/^-?\d{1,15}$/.test(expiration) && Number(expiration) >= Math.floor(now / 1000));

/** The signature that the holder of `token` would show. */
export function signFile(file: Omit<SignedFile, 'signature'>, token: string): string {
  const parts = [file.path, file.operation, file.user, token];
  if (file.expiration !== undefined) parts.push(file.expiration);
  return `v1_${createHash('sha256').update(parts.join(':')).digest('base64').replace(/=+$/, '')}`;
}

/**
 * The id of the one of `owners` whose token made the signature. Every candidate is tried, so the time tells nothing about which.
 * Only for routing: whether it has expired is for the agent to say.
 */
export function signer(
  file: SignedFile,
  owners: readonly TokenOwner[],
  tokenOf: (owner: TokenOwner) => string,
): string | undefined {
  const presented = createHash('sha256').update(file.signature).digest();
  let found: string | undefined;
  for (const owner of owners) {
    const expected = createHash('sha256')
      .update(signFile(file, tokenOf(owner)))
      .digest();
    if (timingSafeEqual(expected, presented)) found = owner.id;
  }
  return found;
}
