import type { ErrorRequestHandler, RequestHandler, Response } from 'express';
import type { Logger } from 'pino';
import { ERRORS, isErrorCode, type ErrorCode, type ErrorEntry } from '../../workflows/errors.js';

/** A refusal by the api itself, with a code of the one table. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    readonly code: ErrorCode,
    message: string,
    /** Of a refusal that time mends; absent: a second. */
    readonly retryAfterSeconds = 1,
  ) {
    super(message);
  }
}

/** Answers with the one shape of errors: `{code, message}`, `code` being the HTTP status (contract, rule 1). */
export function sendError(response: Response, status: number, message: string, nothingHappened = true): void {
  // Some clients send a 502, 503 or 504 again by themselves, creates included.
  if (status === 504 || !nothingHappened) response.set('Should-Retry', 'false');
  response.status(status).json({ code: status, message });
}

export const unknownRoute: RequestHandler = (request, response) => {
  sendError(response, 404, `there is no route ${request.method} ${request.path}`);
};

export const wrongMethod =
  (allowed: readonly string[]): RequestHandler =>
  (request, response) => {
    response.set('Allow', allowed.join(', '));
    sendError(response, 405, `${request.path} takes ${allowed.join(' or ')}, not ${request.method}`);
  };

/** Last in the chain: everything thrown ends here, and nothing leaves without a JSON body. */
export const errorHandler =
  (log: Logger): ErrorRequestHandler =>
  (error: unknown, request, response, next) => {
    if (response.headersSent) return next(error);
    const code = codeOf(error);
    if (code !== undefined) {
      const { status, nothingHappened } = ERRORS[code];
      if (status === 401 && response.get('WWW-Authenticate') === undefined) response.set('WWW-Authenticate', CHALLENGE);
      if (code === 'TooManyRequests') {
        response.set('Retry-After', String(error instanceof ApiError ? error.retryAfterSeconds : 1));
      }
      // Clients would send a 429 again, creates included.
      if (code === 'QuotaExceeded') response.set('Should-Retry', 'false');
      if (status >= 500) log.warn({ err: error, method: request.method, path: request.path }, 'a request failed');
      return sendError(response, status, messageFor(code, error as Error), nothingHappened);
    }
    const refused = refusalOfParser(error);
    if (refused !== undefined) return sendError(response, refused.status, refused.message);
    log.error({ err: error, method: request.method, path: request.path }, 'a request failed for an unknown reason');
    sendError(response, 500, 'an internal error; the log of the api tells more', false);
  };

/** No scheme that a browser has a dialog for. */
const CHALLENGE = 'ApiKey header="X-API-Key"';

/** The api's own words as they are. A host's words only where they name nothing of the host. */
function messageFor(code: ErrorCode, error: Error): string {
  const entry: ErrorEntry = ERRORS[code];
  return error instanceof ApiError ? error.message : (entry.says ?? error.message);
}

export function codeOf(error: unknown): ErrorCode | undefined {
  const code = error instanceof Error ? (error as { code?: unknown }).code : undefined;
  return isErrorCode(code) ? code : undefined;
}

/** What Express and its body parser throw. Their own messages may quote the body. */
function refusalOfParser(error: unknown): { status: number; message: string } | undefined {
  const { status, type } = error as { status?: unknown; type?: unknown };
  if (typeof status !== 'number' || status < 400 || status > 499) return undefined;
  if (type === 'entity.parse.failed') return { status: 400, message: 'the body is not valid JSON' };
  if (type === 'entity.too.large') return { status: 413, message: `the body is larger than ${BODY_LIMIT_KIB} KiB` };
  if (error instanceof URIError) return { status: 400, message: 'the path is not valid percent-encoding' };
  return { status, message: 'the request could not be read' };
}

export const BODY_LIMIT_KIB = 512;
