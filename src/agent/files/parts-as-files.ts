import { Transform } from 'node:stream';

const AS_FILE = Buffer.from('Content-Type: application/octet-stream\r\n');

/**
 * Puts a first content type before each part's own headers. The parser of forms takes a part without a file name for a
 * field, which it would hold whole and read as text, unless its first content type is that of bytes.
 * @returns undefined where the content type names no boundary that can be told without doubt
 */
export function partsAsFiles(contentType: string): Transform | undefined {
  const [, quoted, plain] = /;\s*boundary=(?:"([^"\\]+)"|([^\s";]+))/i.exec(contentType) ?? [];
  const boundary = quoted ?? plain;
  if (boundary === undefined) return undefined;
  const before = Buffer.from(`\r\n--${boundary}\r\n`, 'latin1');
  // The first one begins the body: as if there was an end of a line before it.
  let held = Buffer.from('\r\n');
  let skip = held.length;
  const pass = (part: Buffer): Buffer => {
    const passed = part.subarray(Math.min(skip, part.length));
    skip -= part.length - passed.length;
    return passed;
  };
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      let rest = Buffer.concat([held, chunk]);
      for (let at = rest.indexOf(before); at >= 0; at = rest.indexOf(before)) {
        this.push(pass(rest.subarray(0, at + before.length)));
        this.push(AS_FILE);
        rest = rest.subarray(at + before.length);
      }
      const whole = Math.max(0, rest.length - before.length + 1);
      this.push(pass(rest.subarray(0, whole)));
      held = rest.subarray(whole);
      done();
    },
    flush(done) {
      this.push(pass(held));
      done();
    },
  });
}
