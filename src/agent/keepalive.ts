const DEFAULT_SECONDS = 90;

/** Milliseconds of silence after which a stream says that it lives. */
export function keepaliveMs(headers: Headers): number {
  const seconds = Number(headers.get('keepalive-ping-interval') ?? NaN);
  return (Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds, 86_400) : DEFAULT_SECONDS) * 1000;
}
