import { createHmac, timingSafeEqual } from 'node:crypto';
import { expandKey } from './derive.js';

/** What one of these codes is for; a code of one never passes for the other's. */
export type Authenticated = { kind: 'manifest'; id: string } | { kind: 'manifests-are-signed' };

/**
 * HMAC-SHA256, hex, of a record of a host's.
 *
 * The key is the host's and not the sandbox's own: a manifest is written before that one exists, and is needed after a
 * kill has deleted it.
 *
 * @param manifestsKey the master key's subkey `manifests`, 32 bytes
 */
export function macOf(manifestsKey: Buffer, what: Authenticated, text: string): string {
  const parts = what.kind === 'manifest' ? [what.kind, what.id] : [what.kind];
  const key = expandKey(manifestsKey, ['dormouse/v1/mac', ...parts]);
  try {
    return createHmac('sha256', key).update(text).digest('hex');
  } finally {
    key.fill(0);
  }
}

/** Whether `presented` is the code of `text`. Constant time in its content. */
export function isMacOf(manifestsKey: Buffer, what: Authenticated, text: string, presented: string): boolean {
  const expected = Buffer.from(macOf(manifestsKey, what, text));
  const shown = Buffer.from(presented);
  return expected.length === shown.length && timingSafeEqual(expected, shown);
}
