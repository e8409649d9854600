import path from 'node:path';
import { ownPorts } from '../setup/own-ports.js';

/** Says how far the clocks of a run's roles stand aside. */
export const clockFileOf = (stateDir: string): string => `${stateDir}.clock`;

/** Settings of a run's own service: ports from `port` on, a state directory and host id that nobody else has. */
export function chaosEnvironment(
  env: NodeJS.ProcessEnv,
  { home, port }: { home: string; port: number },
): NodeJS.ProcessEnv {
  const stateDir = path.join(home, `chaos-${port}`);
  const clock = new URL('stepped-clock.js', import.meta.url);
  clock.searchParams.set('file', clockFileOf(stateDir));
  return {
    ...env,
    DORMOUSE_STATE_DIR: stateDir,
    DORMOUSE_HOST_ID: `chaos-${port}`,
    DORMOUSE_CRASH_POINTS_FILE: path.join(home, `chaos-${port}.points`),
    NODE_OPTIONS: `${env['NODE_OPTIONS'] ?? ''} --import=${clock.href}`.trim(),
    ...ownPorts(port),
    DORMOUSE_RESERVED_DISK_MIB: '256',
    DORMOUSE_RESERVED_MEMORY_MIB: '256',
    // As many sandboxes as its memory holds, on a small disk.
    DORMOUSE_DISK_OVERCOMMIT: '64',
    DORMOUSE_OVERLAY_POOL: '2',
    // What the pool does by itself would use up the faults that are meant for a step.
    DORMOUSE_WARM_POOL: '0',
    DORMOUSE_REAP_EVERY: '4s',
    DORMOUSE_REAP_AGE: '4s',
    DORMOUSE_LOG_LEVEL: 'debug',
  };
}
