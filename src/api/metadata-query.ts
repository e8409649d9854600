import { ApiError } from './errors.js';

/**
 * The `metadata` filter. Clients encode it three times (contract 2.4); `text` has been decoded once, as any query
 * parameter. Then: pairs split, each side form-decoded, and percent-decoded once more.
 */
export function parseMetadata(text: string): Map<string, string> {
  const wanted = new Map<string, string>();
  for (const pair of text.split('&')) {
    if (pair === '') continue;
    const at = pair.indexOf('=');
    const [key, value] = at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
    wanted.set(decodeSide(key), decodeSide(value));
  }
  return wanted;
}

function decodeSide(side: string): string {
  try {
    return decodeURIComponent(decodeURIComponent(side.replaceAll('+', ' ')));
  } catch {
    throw new ApiError('InvalidRequest', 'metadata: not encoded as key=value pairs, each side percent-encoded twice');
  }
}
