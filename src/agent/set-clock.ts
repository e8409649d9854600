import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { HttpError } from './http-error.js';

/** Sets the wall clock, to the millisecond. */
export async function setClock(timestamp: Date): Promise<void> {
  const date = spawn('date', ['-u', '-s', `@${(timestamp.getTime() / 1000).toFixed(3)}`], { stdio: 'ignore' });
  const [code] = (await once(date, 'close')) as [number | null];
  if (code !== 0) throw new HttpError(500, 'the clock could not be set');
}
