import { createCipheriv, createSecretKey, type KeyObject } from 'node:crypto';
import { expandKey } from '../keys/derive.js';

const NONCE = Buffer.alloc(12);

/** The key of a sandbox's part digests: the same over its whole life, so that digests of two pauses can be compared. */
export function digestKey(imageKey: Buffer, sandboxId: string): KeyObject {
  const bytes = expandKey(imageKey, ['dormouse/sealed/v2/parts', sandboxId]);
  const key = createSecretKey(bytes);
  bytes.fill(0);
  return key;
}

/**
 * GMAC of a part's plain content, 32 hex digits. Equal digests of one sandbox mean equal contents: docs/sealed-format.md
 * says why, and why the nonce may be the same each time.
 *
 * Danger: under this key nothing may ever be encrypted, and no digest may leave the encrypted table.
 */
export function partDigest(key: KeyObject, content: Buffer): string {
  const mac = createCipheriv('aes-256-gcm', key, NONCE);
  mac.setAAD(content);
  mac.final();
  return mac.getAuthTag().toString('hex');
}
