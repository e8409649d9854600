import type { IncomingMessage, ServerResponse } from 'node:http';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { AgentState } from '../agent-state.js';
import { userFiles } from '../filesystem/user-files.js';
import { HttpError } from '../http-error.js';
import { resolvePath } from '../resolve-path.js';
import { authorizeFile } from './authorize-file.js';
import { contentType } from './content-type.js';

/** Streams a file. Files that say they are empty, as in /proc, are read until they end. */
export async function downloadRoute(
  request: IncomingMessage,
  response: ServerResponse,
  query: URLSearchParams,
  state: AgentState,
): Promise<void> {
  const user = await authorizeFile(request, query, 'read', state);
  const given = query.get('path');
  if (given === null || given === '') throw new HttpError(400, 'path is missing');
  if (!takesPlain(request.headers['accept-encoding'])) throw new HttpError(406, 'only the identity encoding is served');
  const file = resolvePath(given, user.home);
  await userFiles.read(file, async (size, bytes) => {
    const length = size > 0 ? { 'content-length': size } : {};
    response.writeHead(200, {
      'content-type': contentType(file),
      'content-disposition': `inline; filename*=UTF-8''${encodeURIComponent(path.basename(file))}`,
      vary: 'Accept-Encoding',
      ...length,
    });
    await pipeline(bytes, response);
  });
}

/** False when the client wrote `identity;q=0`, or `*;q=0` without naming identity. */
function takesPlain(header: string | undefined): boolean {
  const refusesAll = (name: string): boolean =>
    new RegExp(`(^|,)\\s*${name}\\s*;\\s*q=0(\\.0*)?\\s*(,|$)`).test(header ?? '');
  return !refusesAll('identity') && !(refusesAll('\\*') && !/identity/.test(header ?? ''));
}
