import { Code, ConnectError } from '@connectrpc/connect';
import type { AgentState } from './agent-state.js';
import { findUser, type User } from './users.js';

/** The user named by `Authorization: Basic`, else the default one. @throws ConnectError unauthenticated. */
export async function requestUser(headers: Headers, state: AgentState): Promise<User> {
  const name = basicUser(headers.get('authorization')) ?? state.defaultUser;
  const user = await findUser(name);
  if (user === undefined) throw new ConnectError(`there is no user '${name}'`, Code.Unauthenticated);
  return user;
}

function basicUser(header: string | null): string | undefined {
  const encoded = /^basic\s+(\S+)$/i.exec(header ?? '')?.[1];
  if (encoded === undefined) return undefined;
  const name = Buffer.from(encoded, 'base64').toString('utf8').split(':')[0];
  return name === undefined || name === '' ? undefined : name;
}
