import { createHash, timingSafeEqual } from 'node:crypto';
import type { MasterKey } from '../keys/master-key.js';

/** What the api shows to a host's gateway. */
export const gatewayToken = (masterKey: Pick<MasterKey, 'derive'>): string =>
  masterKey.derive('gateway').toString('hex');

/** Constant time in content and length. */
export function sameToken(expected: string, presented: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(expected), digest(presented));
}
