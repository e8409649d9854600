import type { IncomingMessage } from 'node:http';

/** Where the body of a request ends. */
export type Framing = { kind: 'none' } | { kind: 'length'; bytes: number } | { kind: 'chunked' };

/**
 * The one place that decides what the body of a request is. It repeats what Node's parser did, which holds only where
 * `boundHeads` is in force: the parser obeys every header, but shows the first 1 000 by default. The parser refuses two
 * lengths, a length beside a transfer coding, and a coding that does not end in `chunked`.
 */
export function framingOf({ rawHeaders }: Pick<IncomingMessage, 'rawHeaders'>): Framing {
  let framing: Framing = { kind: 'none' };
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]?.toLowerCase();
    if (name === 'transfer-encoding') return { kind: 'chunked' };
    if (name === 'content-length') framing = { kind: 'length', bytes: Number(rawHeaders[i + 1]) };
  }
  return framing;
}

export const hasBody = (framing: Framing): boolean =>
  framing.kind === 'chunked' || (framing.kind === 'length' && framing.bytes > 0);

const BODILESS = new Set(['GET', 'HEAD', 'OPTIONS', 'DELETE', 'TRACE']);

/** The headers of the request as it is sent on, with the one header that frames its body. */
export function framed(method: string, framing: Framing, headers: readonly string[]): string[] {
  const unframed = withoutFraming(headers);
  switch (framing.kind) {
    case 'chunked':
      return [...unframed, 'Transfer-Encoding', 'chunked'];
    case 'length':
      return [...unframed, 'Content-Length', String(framing.bytes)];
    case 'none':
      return BODILESS.has(method) ? unframed : [...unframed, 'Content-Length', '0'];
  }
}

const FRAMES = new Set(['content-length', 'transfer-encoding']);

export function withoutFraming(headers: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] ?? '';
    if (!FRAMES.has(name.toLowerCase())) kept.push(name, headers[i + 1] ?? '');
  }
  return kept;
}
