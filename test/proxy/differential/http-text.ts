/** A request or an answer as bytes (Latin-1), read by rules of its own, which are stricter than those of any server here. */
export interface Read {
  start: string;
  headers: [name: string, value: string][];
  body: string;
  complete: boolean;
  /** What follows it. */
  rest: string;
  fault?: string;
}

/** @param bodiless the message has no body, whatever its head says */
export function readMessage(text: string, bodiless = false): Read | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [start = '', ...lines] = text.slice(0, end).split('\r\n');
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  const after = text.slice(end + 4);
  const named = (name: string): string[] => headers.filter(([found]) => found === name).map(([, value]) => value);
  const lengths = named('content-length');
  const codings = named('transfer-encoding');
  const read = { start, headers };
  if ([start, ...lines].some((line) => /[\r\n\0]/.test(line))) return broken(read, 'a bare CR, LF or zero in the head');
  if (lines.some((line) => !/^[!#$%&'*+.^_`|~0-9A-Za-z-]+:/.test(line)))
    return broken(read, 'a line that is no header');
  if (lengths.length + codings.length > 1) return broken(read, 'its body is framed twice');
  if (bodiless || (lengths.length === 0 && codings.length === 0)) {
    return { ...read, body: '', complete: true, rest: after };
  }
  if (codings.length > 0) {
    if (codings[0] !== 'chunked') return broken(read, `transfer-encoding: ${codings[0]}`);
    return { ...read, ...dechunk(after) };
  }
  if (!/^\d+$/.test(lengths[0]!)) return broken(read, `content-length: ${lengths[0]}`);
  const length = Number(lengths[0]);
  return { ...read, body: after.slice(0, length), complete: after.length >= length, rest: after.slice(length) };
}

const broken = (read: Pick<Read, 'start' | 'headers'>, fault: string): Read => ({
  ...read,
  ...{ body: '', complete: false, rest: '', fault },
});

function dechunk(text: string): Pick<Read, 'body' | 'complete' | 'rest' | 'fault'> {
  let body = '';
  for (let at = 0; ;) {
    const [line, size] = /^([0-9a-f]+)\r\n/i.exec(text.slice(at, at + 20)) ?? [];
    const cut = { body, complete: false, rest: '' };
    if (line === undefined) return text.length - at < 10 ? cut : { ...cut, fault: 'a chunk without a plain size' };
    const length = Number.parseInt(size!, 16);
    at += line.length;
    if (length === 0) return { body, complete: text.slice(at, at + 2) === '\r\n', rest: text.slice(at + 2) };
    body += text.slice(at, at + length);
    at += length;
    if (at + 2 > text.length) return { body, complete: false, rest: '' };
    if (text.slice(at, at + 2) !== '\r\n') return { body, complete: false, rest: '', fault: 'a chunk without an end' };
    at += 2;
  }
}

export const valueOf = ({ headers }: Read, name: string): string | undefined =>
  headers.find(([found]) => found === name)?.[1];
