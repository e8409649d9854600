import type { IncomingHttpHeaders } from 'node:http';
import { SANDBOX_ID_PATTERN } from '../../workflows/names.js';
import { AGENT_PORT } from '../gateway/wire.js';
import { sandboxIdOfToken } from '../keys/access-token.js';
import { readSignature, type SignedFile } from '../keys/file-signature.js';

/** What a request says about where it wants to go. */
export type Target =
  | { kind: 'sandbox'; id: string; port: number }
  /** A signed file URL: the sandbox is the one whose token made the signature. */
  | { kind: 'signed'; file: SignedFile }
  | { kind: 'none'; message: string };

const HOST_FORM = /^(\d{1,5})-([a-z0-9]+)(?:-[^.]*)?\./;

/**
 * In this order (contract 3.1, 3.2): host `<port>-<id>.<any domain>`, the two routing headers, the access token, a
 * signature. Proves nothing: the guest's agent checks the token.
 */
export function findTarget(method: string, url: URL, headers: IncomingHttpHeaders): Target {
  const host = headers.host ?? '';
  const [, hostPort, hostId] = HOST_FORM.exec(host.toLowerCase()) ?? [];
  if (hostPort !== undefined && hostId !== undefined) return sandbox(hostId, hostPort, `host ${host}`);

  const id = single(headers['e2b-sandbox-id']);
  const port = single(headers['e2b-sandbox-port']);
  if (id !== undefined && port !== undefined) return sandbox(id, port, 'E2b-Sandbox-Id and E2b-Sandbox-Port');
  if (id !== undefined || port !== undefined) {
    return none('E2b-Sandbox-Id and E2b-Sandbox-Port go together: send both, or neither');
  }
  const token = single(headers['x-access-token']);
  const tokenId = token === undefined ? undefined : sandboxIdOfToken(token);
  if (tokenId !== undefined && SANDBOX_ID_PATTERN.test(tokenId)) {
    return { kind: 'sandbox', id: tokenId, port: AGENT_PORT };
  }
  const file = readSignature(method, url);
  if (file !== undefined) return { kind: 'signed', file };
  return none(
    'nothing in this request says which sandbox it is for: use the host <port>-<id>.<domain>, the headers ' +
      'E2b-Sandbox-Id and E2b-Sandbox-Port, or X-Access-Token',
  );
}

function sandbox(id: string, port: string, where: string): Target {
  const number = /^\d{1,5}$/.test(port) ? Number(port) : 0;
  if (number < 1 || number > 65_535) return none(`${where}: ${JSON.stringify(port)} is not a port (1 to 65535)`);
  if (!SANDBOX_ID_PATTERN.test(id)) return none(`${where}: ${JSON.stringify(id)} is not a sandbox id`);
  return { kind: 'sandbox', id, port: number };
}

const none = (message: string): Target => ({ kind: 'none', message });

const single = (value: string | string[] | undefined): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined;
