import { KeyError } from './key-error.js';
import { closeBox, openBox } from './secret-box.js';

const PREFIX = 'v1.';

/**
 * Seals a short secret (for example a sandbox's environment variables) so that it may stand in Temporal's history.
 *
 * @param fieldsKey the master key's subkey `fields`, 32 bytes
 * @param sandboxId the sandbox it belongs to; a field moved to another sandbox does not open
 * @param name which field of the sandbox, for example `env`; a field moved to another name does not open
 * @returns `v1.` and base64url text, about 4/3 of the plaintext plus 42 characters; different at every call
 */
export function sealField(fieldsKey: Buffer, sandboxId: string, name: string, plaintext: string): string {
  const box = closeBox(fieldsKey, context(sandboxId, name), Buffer.from(plaintext, 'utf8'));
  return PREFIX + box.toString('base64url');
}

/**
 * Opens what `sealField` made, with the same key, sandbox and name.
 *
 * @throws KeyError `SealedFieldDamaged` when it does not open; the message names the field, never its content
 */
export function openField(fieldsKey: Buffer, sandboxId: string, name: string, sealed: string): string {
  const where = `the sealed field ${JSON.stringify(name)} of sandbox ${JSON.stringify(sandboxId)}`;
  if (!sealed.startsWith(PREFIX)) {
    throw new KeyError('SealedFieldDamaged', `${where} is not in a format that this version knows`);
  }
  const text = sealed.slice(PREFIX.length);
  const box = Buffer.from(text, 'base64url');
  // Decoding skips what is not base64url: compare, so that one field has exactly one text form.
  const opened = box.toString('base64url') === text ? openBox(fieldsKey, context(sandboxId, name), box) : undefined;
  if (opened === undefined) {
    throw new KeyError('SealedFieldDamaged', `${where} is damaged, belongs elsewhere, or was sealed under another key`);
  }
  return opened.toString('utf8');
}

const context = (sandboxId: string, name: string): string[] => ['field', sandboxId, name];
