import type { IncomingMessage } from 'node:http';
import { accessRefusal } from '../keys/agent-access.js';
import { AGENT_PORT, isPassive, type Whose } from './wire.js';

/**
 * Whom a request counts for. At the agent's port only what the agent would let in is let through: what strangers send there
 * is no activity, and no byte of it reaches the guest. `passive`: a question whether the sandbox lives.
 */
export function whoAsks(
  request: Pick<IncomingMessage, 'method' | 'url' | 'headers'>,
  port: number,
  token: string,
): { whose: Whose; passive: boolean } | { refused: string } {
  if (port !== AGENT_PORT) return { whose: 'stranger', passive: false };
  const { method = 'GET', url: target = '/', headers } = request;
  const path = target.split('?', 1)[0] ?? '/';
  const refused = accessRefusal({ method, target, headers }, token, Date.now());
  const passive = isPassive(method, path);
  if (refused === undefined) return { whose: 'owner', passive };
  return method === 'GET' && path === '/health' ? { whose: 'stranger', passive } : { refused };
}

/** `ucloud_sandbox` up to 1.2: it hands a connection that broke off to its user as it is. */
const NEVER_ASKS = /^ucloud-agentbox-sdk\//;

/** Whether the client of a stream finds out by itself, from `/health`, why its connection broke off. */
export const asksAfterwards = ({ headers }: Pick<IncomingMessage, 'headers'>): boolean =>
  !NEVER_ASKS.test(headers['user-agent'] ?? '');
