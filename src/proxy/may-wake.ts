import type { IncomingHttpHeaders } from 'node:http';
import { AGENT_PORT, isPassive } from '../gateway/wire.js';
import { accessToken, type TokenOwner } from '../keys/access-token.js';
import { accessRefusal } from '../keys/agent-access.js';

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
  if (target.port !== AGENT_PORT) return true;
  return !isPassive(request.method, request.url.pathname) && opensAgent(request, target, tokensKey, now);
}

/** Whether a request shows what its sandbox's agent lets in, at the agent's port. */
export const opensAgent = (
  request: { method: string; url: URL; headers: IncomingHttpHeaders },
  { owner, port }: { owner: TokenOwner; port: number },
  tokensKey: Buffer,
  now: number,
): boolean => port === AGENT_PORT && agentRefusal(request, owner, tokensKey, now) === undefined;

/** Why a sandbox's agent would refuse a request, as this process's clock goes; undefined: it would not. */
export const agentRefusal = (
  { method, url, headers }: { method: string; url: URL; headers: IncomingHttpHeaders },
  owner: TokenOwner,
  tokensKey: Buffer,
  now: number,
): string | undefined =>
  accessRefusal({ method, target: `${url.pathname}${url.search}`, headers }, accessToken(tokensKey, owner), now);
