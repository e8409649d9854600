export interface ErrorEntry {
  status: number;
  retryable: boolean;
  nothingHappened: boolean;
  says?: string;
}

/**
 * The one table of errors. An activity or an update throws `ApplicationFailure` with `type` = a code of this table;
 * the api answers with its `status`. Codes are a contract: add, never repurpose.
 *
 * `retryable` tells Temporal whether another attempt of the same activity can help.
 * `nothingHappened` is the promise that the request had no effect at all (only then may a 503 be answered).
 * `says` is told to the caller in place of the host's own message, which may name paths, memory and programs of the host.
 * The host's message is in the workflow's history and in the logs of api and host worker.
 */
export const ERRORS = {
  InvalidRequest: { status: 400, retryable: false, nothingHappened: true },
  Unauthorized: { status: 401, retryable: false, nothingHappened: true },
  NotFound: { status: 404, retryable: false, nothingHappened: true },
  TemplateNotFound: { status: 404, retryable: false, nothingHappened: true },
  AlreadyPaused: { status: 409, retryable: false, nothingHappened: true },
  AlreadyRunning: { status: 409, retryable: false, nothingHappened: true },
  BeingKilled: { status: 409, retryable: false, nothingHappened: true },
  /** A later request (for example a connect during a pause) took the sandbox elsewhere. */
  Superseded: { status: 409, retryable: false, nothingHappened: false },
  /** An `Idempotency-Key` that was used before, for something else or for a sandbox that has ended. */
  IdempotencyConflict: { status: 409, retryable: false, nothingHappened: true },
  /** A machine of the warm pool that is not to be had (any more): taken, not ready, or being discarded. */
  NotWarm: { status: 409, retryable: false, nothingHappened: true },
  /** Memory, tmpfs or disk cannot be reserved; nothing was started. */
  InsufficientCapacity: {
    status: 429,
    retryable: false,
    nothingHappened: true,
    says: 'the host has too little free memory or disk for this; nothing was changed. Kill or pause a sandbox, or try again later',
  },
  /** A quota of the tenant has no room; waiting alone frees nothing. */
  QuotaExceeded: { status: 429, retryable: false, nothingHappened: true },
  TooManyRequests: { status: 429, retryable: false, nothingHappened: true },
  /** A caller with a lower generation than the host has already seen. */
  StaleGeneration: { status: 409, retryable: false, nothingHappened: true },
  /** The save image fails authentication or is not the one that the workflow knows. It is kept for the operator. */
  ImageDamaged: {
    status: 500,
    retryable: false,
    nothingHappened: true,
    says: 'the saved sandbox fails its authentication and was not started. Its files are kept; the operator finds the reason in its workflow',
  },
  /** The save image needs a template, QEMU, machine type or CPU that this host does not have. */
  ImageIncompatible: {
    status: 500,
    retryable: false,
    nothingHappened: true,
    says: 'the host lacks the template, QEMU, machine type or CPU that the saved sandbox needs. It stays paused; the operator finds the reason in its workflow',
  },
  PauseFailed: {
    status: 500,
    retryable: false,
    nothingHappened: false,
    says: 'the pause failed. Ask for the state of the sandbox, then try again; the operator finds the reason in its workflow',
  },
  ResumeFailed: {
    status: 500,
    retryable: false,
    nothingHappened: false,
    says: 'the sandbox could not be resumed. Ask for its state, then try again; the operator finds the reason in its workflow',
  },
  CreateFailed: {
    status: 500,
    retryable: false,
    nothingHappened: false,
    says: 'the sandbox could not be created, and nothing of it is left. Try again; the operator finds the reason in its workflow',
  },
  /** The machine and its last image are both unusable. */
  Lost: {
    status: 500,
    retryable: false,
    nothingHappened: false,
    says: 'the machine of the sandbox and its last image are both unusable, so the sandbox has ended; the operator finds the reason in its workflow',
  },
  /** libvirt, QEMU or the guest did not answer as expected; another attempt may succeed. */
  HostFailure: {
    status: 500,
    retryable: true,
    nothingHappened: false,
    says: 'libvirt, QEMU or the guest did not answer as expected. Ask for the state of the sandbox, then try again; the operator finds the reason in its workflow',
  },
  /** The service behind (Temporal) certainly did not take the request. */
  Unavailable: { status: 503, retryable: true, nothingHappened: true },
  /** The outcome is not known (yet): the work goes on, a repeat of the request joins it. */
  OutcomeUnknown: {
    status: 504,
    retryable: false,
    nothingHappened: false,
    says: 'the outcome is not known yet. The work goes on: ask for the state of the sandbox, or send the same request again',
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

export const isErrorCode = (code: unknown): code is ErrorCode =>
  typeof code === 'string' && Object.prototype.hasOwnProperty.call(ERRORS, code);

export const NON_RETRYABLE_CODES: readonly ErrorCode[] = (Object.keys(ERRORS) as ErrorCode[]).filter(
  (code) => !ERRORS[code].retryable,
);
