import type { ErrorCode } from './errors.js';
import { NON_RETRYABLE_CODES } from './errors.js';

/** Every timeout and retry of the lifecycle's activities, in one place. */
const retry = (maximumAttempts: number, maximumInterval = '5 s') => ({
  initialInterval: '500 ms' as const,
  backoffCoefficient: 2,
  maximumInterval: maximumInterval as '5 s',
  maximumAttempts,
  nonRetryableErrorTypes: [...NON_RETRYABLE_CODES] as ErrorCode[],
});

/** A host that takes no task for this long is away; the workflow says so and keeps what was asked for. */
const HOST_AWAY = '30 s';

export const ACTIVITY_TIMEOUTS = {
  createVm: {
    scheduleToStartTimeout: HOST_AWAY,
    startToCloseTimeout: '3 m',
    heartbeatTimeout: '15 s',
    retry: retry(3),
  },
  /** Its machine runs already. What does not answer soon is given up, and the create makes another one. */
  assignVm: {
    scheduleToStartTimeout: HOST_AWAY,
    startToCloseTimeout: '30 s',
    heartbeatTimeout: '15 s',
    retry: retry(2),
  },
  /** Sealing goes at hundreds of MiB per second; a guest of many GiB on a slow disk still fits. */
  pauseVm: {
    scheduleToStartTimeout: HOST_AWAY,
    startToCloseTimeout: '30 m',
    heartbeatTimeout: '15 s',
    retry: retry(5),
  },
  /**
   * A guest that was told to shut down cannot be told to stay: this is finished, whatever it takes, and there is no
   * "it runs on" to come back to. A kill pre-empts it.
   */
  shutDownVm: { startToCloseTimeout: '5 m', heartbeatTimeout: '15 s', retry: retry(0, '30 s') },
  resumeVm: {
    scheduleToStartTimeout: HOST_AWAY,
    startToCloseTimeout: '30 m',
    heartbeatTimeout: '15 s',
    retry: retry(5),
  },
  /** A boot takes half a minute under emulation; it can be repeated. */
  bootVm: {
    scheduleToStartTimeout: HOST_AWAY,
    startToCloseTimeout: '10 m',
    heartbeatTimeout: '15 s',
    retry: retry(3),
  },
  /** Never given up and never skipped: no limit to attempts, none to waiting for the host. */
  destroyVm: { startToCloseTimeout: '5 m', heartbeatTimeout: '15 s', retry: retry(0, '1 m') },
  /** The agent answers at once or not at all; whoever asked is told, and it is tried again later. */
  rotateTokens: {
    scheduleToStartTimeout: '10 s',
    startToCloseTimeout: '15 s',
    heartbeatTimeout: '15 s',
    retry: retry(2),
  },
  publishView: { scheduleToStartTimeout: '10 s', startToCloseTimeout: '10 s', retry: retry(3) },
} as const;
