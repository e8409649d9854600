import type { IncomingMessage, ServerResponse } from 'node:http';
import path from 'node:path';
import type { Readable } from 'node:stream';
import type { AgentState } from '../agent-state.js';
import { userFiles } from '../filesystem/user-files.js';
import { HttpError, sendJson } from '../http-error.js';
import type { Metadata } from '../metadata.js';
import { resolvePath } from '../resolve-path.js';
import type { User } from '../users.js';
import { authorizeFile } from './authorize-file.js';
import { metadataHeaders } from './metadata-headers.js';
import { eachPart } from './multipart.js';
import { requestBody } from './request-body.js';

export interface Written {
  name: string;
  type: 'file';
  path: string;
  /** Only when the request brought some: the oldest client knows no such key. */
  metadata?: Metadata;
}

interface Owned {
  user: User;
  metadata: Metadata;
}

export async function uploadRoute(
  request: IncomingMessage,
  response: ServerResponse,
  query: URLSearchParams,
  state: AgentState,
): Promise<void> {
  const user = await authorizeFile(request, query, 'write', state);
  const target = query.get('path') || undefined;
  const type = request.headers['content-type'] ?? '';
  const owned = { user, metadata: metadataHeaders(request.headers) };
  const body = requestBody(request, response);
  if (type.startsWith('multipart/form-data')) {
    sendJson(response, 200, await writeParts(request, body, target, owned));
  } else {
    if (target === undefined) throw new HttpError(400, 'path is missing');
    sendJson(response, 200, [await write(resolvePath(target, user.home), body, owned)]);
  }
}

async function writeParts(
  request: IncomingMessage,
  body: Readable,
  target: string | undefined,
  owned: Owned,
): Promise<Written[]> {
  const written: Written[] = [];
  await eachPart(request.headers, body, async (filename, bytes) => {
    const given = target ?? filename;
    if (given === undefined) throw new HttpError(400, 'path is missing, and a part `file` has no file name');
    const file = resolvePath(given, owned.user.home);
    if (written.some((one) => one.path === file)) throw new HttpError(400, `'${file}' is uploaded twice`);
    written.push(await write(file, bytes, owned));
  });
  if (written.length === 0) throw new HttpError(400, 'there is no file in the body');
  return written;
}

async function write(file: string, bytes: Readable, { user, metadata }: Owned): Promise<Written> {
  await userFiles.write(file, bytes, user, metadata);
  const written = { name: path.basename(file), type: 'file', path: file } as const;
  return Object.keys(metadata).length === 0 ? written : { ...written, metadata };
}
