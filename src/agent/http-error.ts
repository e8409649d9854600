import type { ServerResponse } from 'node:http';

/** Answered as `{code, message}` with its status. */
export class HttpError extends Error {
  override name = 'HttpError';
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

const STATUS_BY_ERRNO: Record<string, number> = {
  ENOENT: 404,
  ENOTDIR: 400,
  EISDIR: 400,
  EINVAL: 400,
  // A NUL in a path: Node's own check.
  ERR_INVALID_ARG_VALUE: 400,
  ENAMETOOLONG: 400,
  ELOOP: 400,
  // A pipe without a reader, a socket, a device without a driver: nothing that can be opened.
  ENXIO: 400,
  ENODEV: 400,
  EACCES: 403,
  EPERM: 403,
  EROFS: 403,
  ETIMEDOUT: 504,
  ENOSPC: 507,
  EDQUOT: 507,
};

export function toHttpError(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  return new HttpError(STATUS_BY_ERRNO[code ?? ''] ?? 500, message ?? String(error));
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

/** An answer that has begun cannot become an error any more: its connection is cut. */
export function sendError(response: ServerResponse, thrown: unknown): void {
  const error = toHttpError(thrown);
  if (response.headersSent) response.destroy();
  else sendJson(response, error.status, { code: error.status, message: error.message });
}
