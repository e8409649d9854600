import type { IncomingMessage } from 'node:http';

const HEADER = 'connect-timeout-ms';
/** The longest that a timer can wait. */
const MAX_MS = 2 ** 31 - 1;

/** Clients send `1500.0`, or more than a timer holds: leaves a whole number, or no header where there is no limit. */
export function normaliseTimeout(request: IncomingMessage): void {
  const given = request.headers[HEADER];
  if (given === undefined) return;
  const ms = Math.ceil(Number(given));
  if (ms > 0 && ms < MAX_MS) request.headers[HEADER] = String(ms);
  else delete request.headers[HEADER];
}
