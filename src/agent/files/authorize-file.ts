import type { IncomingMessage } from 'node:http';
import type { AgentState } from '../agent-state.js';
import { refusal } from '../authorize.js';
import { HttpError } from '../http-error.js';
import { signatureRefusal } from '../signature.js';
import { findUser, type User } from '../users.js';

/** The token opens the route; without that header, a signature of this one request does. @throws HttpError 401. */
export async function authorizeFile(
  request: IncomingMessage,
  query: URLSearchParams,
  operation: 'read' | 'write',
  state: AgentState,
): Promise<User> {
  const token = request.headers['x-access-token'] as string | undefined;
  const signature = query.get('signature');
  const refused =
    token === undefined && signature !== null && state.accessToken !== undefined
      ? signatureRefusal(signed(query, operation), signature, state.accessToken, Math.floor(Date.now() / 1000))
      : refusal(state, token);
  if (refused !== undefined) throw new HttpError(401, refused);
  const name = query.get('username') || state.defaultUser;
  const user = await findUser(name);
  if (user === undefined) throw new HttpError(401, `there is no user '${name}'`);
  return user;
}

function signed(query: URLSearchParams, operation: 'read' | 'write') {
  const expiration = query.get('signature_expiration');
  if (expiration !== null && !/^-?\d{1,15}$/.test(expiration))
    throw new HttpError(401, 'the signature has no valid end');
  return {
    path: query.get('path') ?? '',
    operation,
    username: query.get('username') ?? '',
    expiration: expiration === null ? undefined : Number(expiration),
  };
}
