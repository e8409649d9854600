/** A token bucket: so much may come at once, and comes back evenly. Plain data, so that a database could hold it. */
export interface Bucket {
  tokens: number;
  /** Milliseconds that never go back. */
  at: number;
}

export interface Rate {
  count: number;
  perMs: number;
}

/**
 * Takes one token, if there is one.
 *
 * @returns the bucket as it is then, and in how many milliseconds there will be a token; 0: it was taken
 */
export function takeToken(
  bucket: Bucket | undefined,
  { count, perMs }: Rate,
  now: number,
): { bucket: Bucket; waitMs: number } {
  const before = bucket ?? { tokens: count, at: now };
  const tokens = Math.min(count, before.tokens + (Math.max(0, now - before.at) * count) / perMs);
  if (tokens >= 1) return { bucket: { tokens: tokens - 1, at: now }, waitMs: 0 };
  return { bucket: { tokens, at: now }, waitMs: Math.ceil(((1 - tokens) * perMs) / count) };
}
