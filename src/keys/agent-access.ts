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
  const shown = request.headers['x-access-token'];
  const url = signedUrl(request);
  const file = url === undefined ? undefined : readSignature(request.method, url);
  if (file === undefined) {
    if (shown === undefined || shown === '') return 'the access token is missing';
    return typeof shown === 'string' && same(shown, token) ? undefined : 'the access token is wrong';
  }
  if (!same(file.signature, signFile(file, token))) return 'the signature is wrong';
  return signatureEnded(file, now) ? SIGNATURE_ENDED : undefined;
}

/**
 * The path and query of a request that showed a valid signature, to be sent with the access token in its place: the agent would
 * judge the signature's end by the guest's clock, which the guest may set as it likes. Written anew, so that the agent cannot
 * read another file in it than the one that was signed.
 *
 * @returns undefined for a request that shows the token itself
 */
export function targetWithoutSignature(request: {
  method: string;
  target: string;
  headers: IncomingHttpHeaders;
}): string | undefined {
  const url = signedUrl(request);
  if (url === undefined || readSignature(request.method, url) === undefined) return undefined;
  for (const name of ['signature', 'signature_expiration']) url.searchParams.delete(name);
  return `${url.pathname}?${url.searchParams.toString()}`;
}

/** A token that is shown counts alone, also a wrong one. */
const signedUrl = ({ target, headers }: { target: string; headers: IncomingHttpHeaders }): URL | undefined =>
  headers['x-access-token'] === undefined && URL.canParse(target, AGENT) ? new URL(target, AGENT) : undefined;

const AGENT = 'http://agent';

/** Constant time in content and length. */
function same(one: string, other: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}
