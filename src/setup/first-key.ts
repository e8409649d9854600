import { readFile } from 'node:fs/promises';
import { isKnownKey, mintKey } from '../api/api-keys.js';

/**
 * The API key that `make up` prints. The service keeps hashes only, so the key itself is read back from the shell file
 * of the last start; when that is gone or of another state directory, a new key is minted for the same tenant.
 */
export async function firstKey(apiKeysFile: string, shellFile: string): Promise<string> {
  const text = await readFile(shellFile, 'utf8').catch(() => '');
  const kept = /^export E2B_API_KEY=(\S+)$/m.exec(text)?.[1];
  if (kept !== undefined && (await isKnownKey(apiKeysFile, kept))) return kept;
  return mintKey(apiKeysFile, 'default');
}
