import { execFile } from 'node:child_process';
import type { ServerResponse } from 'node:http';
import { promisify } from 'node:util';

/** Everything written so far is on the disk when this answers; asked before the machine is switched off. */
export async function syncRoute(response: ServerResponse): Promise<void> {
  await promisify(execFile)('/usr/bin/sync');
  response.writeHead(204).end();
}
