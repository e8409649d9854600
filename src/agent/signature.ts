import { createHash } from 'node:crypto';
import { equalSecrets } from './authorize.js';

export interface SignedRequest {
  /** As in the query, not resolved. */
  path: string;
  operation: 'read' | 'write';
  /** As in the query; empty when it was absent. */
  username: string;
  /** Unix seconds. */
  expiration?: number | undefined;
}

export function sign(request: SignedRequest, accessToken: string): string {
  const parts: (string | number)[] = [request.path, request.operation, request.username, accessToken];
  if (request.expiration !== undefined) parts.push(request.expiration);
  const hash = createHash('sha256').update(parts.join(':')).digest('base64');
  return `v1_${hash.replace(/=+$/, '')}`;
}

/** @returns why the signature does not allow the request, or undefined when it does. */
export function signatureRefusal(
  request: SignedRequest,
  signature: string,
  accessToken: string,
  nowSeconds: number,
): string | undefined {
  if (!equalSecrets(signature, sign(request, accessToken))) return 'the signature is wrong';
  if (request.expiration !== undefined && request.expiration < nowSeconds) return 'signature is already expired';
  return undefined;
}
