import { ApplicationFailure } from '@temporalio/common';
import { ERRORS, isErrorCode, type ErrorCode } from '../workflows/errors.js';
import type { VmFacts } from '../workflows/host-activities.js';
import { LibvirtUnreachableError } from '../src/libvirt/errors.js';

/** A failure with a code of the table, for the workflow. `facts`: what is true on the host after it. */
export function failure(
  code: ErrorCode,
  message: string,
  options: { cause?: unknown; facts?: VmFacts } = {},
): ApplicationFailure {
  return ApplicationFailure.create({
    type: code,
    message,
    nonRetryable: !ERRORS[code].retryable,
    ...(options.cause instanceof Error ? { cause: options.cause } : {}),
    ...(options.facts === undefined ? {} : { details: [options.facts] }),
  });
}

/** Keeps a failure that already has a code; gives any other `code`. libvirt being away is always worth another attempt. */
export function asFailure(error: unknown, code: ErrorCode, what: string, facts?: VmFacts): ApplicationFailure {
  if (error instanceof ApplicationFailure && isErrorCode(error.type)) return error;
  const message = error instanceof Error ? error.message : String(error);
  const own = (error as { code?: unknown } | undefined)?.code;
  const known = error instanceof LibvirtUnreachableError ? 'HostFailure' : own === 'ImageDamaged' ? own : code;
  return failure(known, `${what}: ${message}`, { cause: error, ...(facts === undefined ? {} : { facts }) });
}
