import type { IncomingHttpHeaders } from 'node:http';
import { AGENT_PORT, isPassive } from '../gateway/wire.js';
import { accessToken, verifyAccessToken, type TokenOwner } from '../keys/access-token.js';
import { readSignature, signatureEnded, signer } from './signature.js';

/**
 * Whether a request may wake the sandbox: what its agent would let in, asked before there is an agent to ask. The other
 * ports are public, or their token has been seen already. Questions about the sandbox's health never wake it.
 */
export function mayWake(
  request: { method: string; url: URL; headers: IncomingHttpHeaders },
  target: { owner: TokenOwner; port: number },
  tokensKey: Buffer,
  now: number,
): boolean {
  const { method, url, headers } = request;
  if (target.port !== AGENT_PORT) return true;
  if (isPassive(method, url.pathname)) return false;
  const token = headers['x-access-token'];
  if (token !== undefined) return typeof token === 'string' && verifyAccessToken(tokensKey, target.owner, token);
  const file = readSignature(method, url);
  if (file === undefined || signatureEnded(file, now)) return false;
  return signer(file, [target.owner], (owner) => accessToken(tokensKey, owner)) !== undefined;
}
