import { hkdfSync } from 'node:crypto';
import { KeyError } from './key-error.js';

/** What the master key is used for. A label never changes its meaning: stored data depends on it. */
export type KeyLabel = 'tokens' | 'fields' | 'gateway' | 'wrap' | 'api-keys' | 'manifests';

export const KEY_LABELS: readonly KeyLabel[] = ['tokens', 'fields', 'gateway', 'wrap', 'api-keys', 'manifests'];

export const KEY_BYTES = 32;

/**
 * The subkey of the master key for one purpose: HKDF-SHA256, no salt, info `dormouse/v1/<label>`.
 *
 * @param master 32 bytes
 * @returns 32 bytes; the same for the same master key and label, for ever
 * @throws KeyError `InvalidKeyArgument` for an unknown label or a master key of another length
 */
export function deriveKey(master: Buffer, label: KeyLabel): Buffer {
  if (!KEY_LABELS.includes(label))
    throw new KeyError('InvalidKeyArgument', `unknown key label ${JSON.stringify(label)}`);
  return expandKey(master, `dormouse/v1/${label}`);
}

/**
 * HKDF-SHA256 of a 32-byte key.
 *
 * @param info a text, or the parts of one: parts are joined as JSON, so that ('ab','c') and ('a','bc') differ
 * @param salt optional; random per file where many keys come from one
 * @returns 32 bytes
 * @throws KeyError `InvalidKeyArgument` if `key` is not 32 bytes long
 */
export function expandKey(key: Buffer, info: string | readonly string[], salt: Buffer = Buffer.alloc(0)): Buffer {
  requireKey(key);
  return Buffer.from(hkdfSync('sha256', key, salt, typeof info === 'string' ? info : JSON.stringify(info), KEY_BYTES));
}

/** @throws KeyError `InvalidKeyArgument` if `key` is not 32 bytes long */
export function requireKey(key: Buffer): void {
  if (!Buffer.isBuffer(key) || key.length !== KEY_BYTES) {
    throw new KeyError('InvalidKeyArgument', `a key must be ${KEY_BYTES} bytes long`);
  }
}
