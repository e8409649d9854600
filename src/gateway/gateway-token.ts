import { createHash, timingSafeEqual } from 'node:crypto';

/**
 * What the api shows to a host's gateway.
 *
 * @param gatewayKey the master key's subkey `gateway`
 */
export const gatewayToken = (gatewayKey: Buffer): string => gatewayKey.toString('hex');

/** Constant time in content and length. */
export function sameToken(expected: string, presented: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(expected), digest(presented));
}
