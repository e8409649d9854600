import { randomBytes } from 'node:crypto';
import { expandKey, KEY_BYTES, requireKey } from './derive.js';
import { KeyError } from './key-error.js';
import type { KeyWrapper } from './master-key.js';

/** A new random data key for one sandbox, 32 bytes. Everything the sandbox leaves on disk hangs on it. */
export const newSandboxKey = (): Buffer => randomBytes(KEY_BYTES);

/** The passphrase of the sandbox's LUKS disk: 44 characters of base64 text (QEMU wants UTF-8, not raw bytes). */
export const diskPassphrase = (dataKey: Buffer): string => subkey(dataKey, 'disk').toString('base64');

/** The key of the sandbox's sealed images (see `src/sealing`), 32 bytes. */
export const imageKey = (dataKey: Buffer): Buffer => subkey(dataKey, 'image');

/** Wraps a sandbox's data key for storage; what comes out opens for this sandbox only. */
export async function wrapSandboxKey(wrapper: KeyWrapper, sandboxId: string, dataKey: Buffer): Promise<Buffer> {
  requireKey(dataKey);
  return wrapper.wrap(dataKey, context(sandboxId));
}

/**
 * @returns the sandbox's data key, 32 bytes; overwrite it (`fill(0)`) when done
 * @throws KeyError `WrappedKeyDamaged`, also when it was wrapped for another sandbox
 */
export async function unwrapSandboxKey(wrapper: KeyWrapper, sandboxId: string, wrapped: Buffer): Promise<Buffer> {
  const dataKey = await wrapper.unwrap(wrapped, context(sandboxId));
  if (dataKey.length === KEY_BYTES) return dataKey;
  throw new KeyError('WrappedKeyDamaged', `the wrapped key of sandbox ${JSON.stringify(sandboxId)} has a wrong length`);
}

const context = (sandboxId: string): string => `sandbox/${sandboxId}`;

const subkey = (dataKey: Buffer, label: 'disk' | 'image'): Buffer => expandKey(dataKey, `dormouse/v1/sandbox/${label}`);
