import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { readSignature, SIGNATURE_ENDED, signatureEnded, signFile } from './file-signature.js';

/**
 * Why a sandbox's agent would refuse a request, in the agent's own words (`agent/authorize.ts`, `agent/files`); undefined:
 * the request shows the access token, or for a file a valid signature. Asked where the agent must not be asked.
 *
 * @param target path and query
 * @param now epoch milliseconds
 */
export function accessRefusal(
  request: { method: string; target: string; headers: IncomingHttpHeaders },
  token: string,
  now: number,
): string | undefined {
  const { method, target, headers } = request;
  const shown = headers['x-access-token'];
  const file =
    shown === undefined && URL.canParse(target, 'http://agent')
      ? readSignature(method, new URL(target, 'http://agent'))
      : undefined;
  if (file === undefined) {
    if (shown === undefined || shown === '') return 'the access token is missing';
    return typeof shown === 'string' && same(shown, token) ? undefined : 'the access token is wrong';
  }
  if (!same(file.signature, signFile(file, token))) return 'the signature is wrong';
  return signatureEnded(file, now) ? SIGNATURE_ENDED : undefined;
}

/** Constant time in content and length. */
function same(one: string, other: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}
