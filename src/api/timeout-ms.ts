import { ApiError } from './errors.js';

/** @throws ApiError `InvalidRequest` when the service does not allow a timeout of this length */
export function timeoutMs(seconds: number, maxTimeoutMs: number, field = 'timeout'): number {
  if (seconds * 1000 > maxTimeoutMs) {
    const most = Math.floor(maxTimeoutMs / 1000);
    throw new ApiError('InvalidRequest', `${field}: ${seconds} seconds is more than the maximum of ${most} seconds`);
  }
  return seconds * 1000;
}
