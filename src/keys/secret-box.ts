import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { expandKey } from './derive.js';

const VERSION = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const OVERHEAD = 1 + NONCE_BYTES + TAG_BYTES;

/**
 * AES-256-GCM of a short secret: version byte, 12-byte random nonce, ciphertext, 16-byte tag.
 * The key of the box is derived from `key` and `context`, so that random nonces are never drawn often under one key.
 *
 * @param key 32 bytes
 * @param context what the secret belongs to; the same is needed to open it
 */
export function closeBox(key: Buffer, context: readonly string[], plaintext: Buffer): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const boxKey = expandKey(key, ['dormouse/v1/box', ...context]);
  try {
    const cipher = createCipheriv('aes-256-gcm', boxKey, nonce);
    cipher.setAAD(additionalData(context));
    const body = cipher.update(plaintext);
    cipher.final();
    return Buffer.concat([Buffer.of(VERSION), nonce, body, cipher.getAuthTag()]);
  } finally {
    boxKey.fill(0);
  }
}

/** @returns the plaintext, or undefined when the box is not genuine, not of this context or not under this key */
export function openBox(key: Buffer, context: readonly string[], box: Buffer): Buffer | undefined {
  if (box.length < OVERHEAD || box[0] !== VERSION) return undefined;
  const nonce = box.subarray(1, 1 + NONCE_BYTES);
  const boxKey = expandKey(key, ['dormouse/v1/box', ...context]);
  const decipher = createDecipheriv('aes-256-gcm', boxKey, nonce, { authTagLength: TAG_BYTES });
  boxKey.fill(0);
  decipher.setAAD(additionalData(context));
  decipher.setAuthTag(box.subarray(box.length - TAG_BYTES));
  const plaintext = decipher.update(box.subarray(1 + NONCE_BYTES, box.length - TAG_BYTES));
  try {
    decipher.final();
    return plaintext;
  } catch {
    plaintext.fill(0);
    return undefined;
  }
}

const additionalData = (context: readonly string[]): Buffer => Buffer.from(JSON.stringify([VERSION, ...context]));
