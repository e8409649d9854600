import { ERRORS, isErrorCode } from '../../workflows/errors.js';
import type { Refusal } from '../relay/refuse.js';

/** Answers of the data plane's edge (contract 3.4). The SDKs look for some of these very words. */

export const badRequest = (message: string): Refusal => ({ status: 400, body: { sandboxId: '', message, code: 400 } });

export const notFound = (sandboxId: string): Refusal => ({
  status: 502,
  body: { sandboxId, message: 'The sandbox was not found', code: 502 },
});

export const internalRoute = (path: string): Refusal => ({
  status: 404,
  body: { message: 'this route of the agent is not open to clients', path, code: 404 },
});

export const nobodysSignature = (message: string): Refusal => ({
  status: 401,
  body: { code: 401, message },
  asAgent: true,
});

export const tooManySearches = (seconds: number): Refusal => ({
  status: 429,
  body: {
    message:
      `too many signed addresses that name no sandbox: wait ${seconds} s, or say which sandbox it is by the host ` +
      '49983-<id>.<domain> or the headers E2b-Sandbox-Id and E2b-Sandbox-Port',
    code: 429,
  },
  headers: { 'retry-after': String(seconds) },
});

export const tooManyHeld = (sandboxId: string, connectionLimit: number): Refusal => ({
  status: 429,
  body: {
    sandboxId,
    message: `${connectionLimit} requests wait for the sandbox already, which is the most; try again later`,
    code: 429,
    connectionLimit,
  },
  headers: { 'retry-after': '1' },
});

/** Of all sandboxes of the one that this is of; how many that are is no visitor's business. */
export const tooManyOfTenant = (sandboxId: string): Refusal => ({
  status: 429,
  body: {
    sandboxId,
    message: 'The owner of the sandbox has too many connections to sandboxes open; close some, or try again later',
    code: 429,
  },
  headers: { 'retry-after': '1' },
});

export const trafficTokenNeeded = (sandboxId: string): Refusal => ({
  status: 403,
  body: {
    sandboxId,
    message: 'The traffic access token is missing or wrong: send it in the header E2B-Traffic-Access-Token',
    code: 403,
  },
});

/** Certainly nothing happened, and nothing is said about whether the sandbox runs. */
export const hostDown = (sandboxId = ''): Refusal => ({
  status: 503,
  body: { sandboxId, message: 'The host of the sandbox does not answer at the moment; try again', code: 503 },
  headers: { 'retry-after': '2' },
});

export const hostLost = (sandboxId: string): Refusal => ({
  status: 504,
  body: {
    sandboxId,
    message: 'The connection to the host of the sandbox broke before the answer; whether it took effect is not known',
    code: 504,
  },
});

/** The request was held for a sleeping sandbox, which did not come up in time. */
export const stillAsleep = (sandboxId: string): Refusal => ({
  status: 504,
  body: {
    sandboxId,
    message: 'The sandbox is being resumed, which takes longer than a request can be held; this one did not reach it',
    code: 504,
  },
  headers: { 'retry-after': '5' },
});

/** A full quota stays full, however long one waits. */
const headersOf = (code: unknown, status: number): Pick<Refusal, 'headers'> =>
  code === 'QuotaExceeded'
    ? { headers: { 'should-retry': 'false' } }
    : [409, 429, 503].includes(status)
      ? { headers: { 'retry-after': '5' } }
      : {};

/**
 * The sandbox could not be woken. Why stands in the log: a visitor of a public URL learns no more than the kind.
 *
 * @param toOwner tells which quota is full, too
 */
export function wakeFailed(sandboxId: string, error: unknown, toOwner: boolean): Refusal {
  const code = error instanceof Error ? (error as { code?: unknown }).code : undefined;
  if (code === 'NotFound' || code === 'BeingKilled') return notFound(sandboxId);
  if (code === 'OutcomeUnknown') return stillAsleep(sandboxId);
  const status = isErrorCode(code) ? ERRORS[code].status : 500;
  const kind = isErrorCode(code) ? code : 'an internal error';
  const quota = toOwner && code === 'QuotaExceeded' ? `: ${(error as Error).message}` : '';
  const message = `The sandbox could not be resumed (${kind}); the request did not reach it${quota}`;
  return {
    status,
    body: { sandboxId, message, code: status },
    ...headersOf(code, status),
  };
}
