import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 100;

/** @throws Error that names the log file when nothing listens on the port in time. */
export const waitForPort = (port: number, what: string, logFile: string): Promise<void> =>
  until(() => listens(port), what, logFile);

/** Any HTTP answer at all will do. */
export const waitForHttp = (url: string, what: string, logFile: string): Promise<void> =>
  until(
    () =>
      fetch(url, { signal: AbortSignal.timeout(2_000) }).then(
        () => true,
        () => false,
      ),
    what,
    logFile,
  );

async function until(ready: () => Promise<boolean>, what: string, logFile: string): Promise<void> {
  const end = Date.now() + WITHIN_MS;
  while (!(await ready())) {
    if (Date.now() > end)
      throw new Error(`${what} did not come up within ${WITHIN_MS / 1000} s. Its log tells why: ${logFile}`);
    await delay(LOOK_EVERY_MS);
  }
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
