export const HEADER_BYTES = 5;
const END_OF_STREAM = 2;
/** No keepalive is longer, however it is spaced; a longer frame is not looked into. */
const LONGEST_KEEPALIVE = 96;

/**
 * Reads a Connect stream (1 byte flags, 4 bytes big-endian length, payload; any cut into chunks) for one question only.
 * Memory is constant whatever the lengths say.
 *
 * @returns a function that is fed the chunks in order and says of each whether it brought anything but keepalives.
 *   A short frame is judged when it is complete.
 */
export function frameScanner(): (chunk: Buffer) => boolean {
  const header = Buffer.alloc(HEADER_BYTES);
  const payload = Buffer.alloc(LONGEST_KEEPALIVE);
  let headerFill = 0;
  let payloadFill = 0;
  let left = 0;
  let judged = false;

  return (chunk) => {
    let active = false;
    let at = 0;
    while (at < chunk.length) {
      if (headerFill < HEADER_BYTES) {
        const taken = chunk.copy(header, headerFill, at, at + HEADER_BYTES - headerFill);
        headerFill += taken;
        at += taken;
        if (headerFill < HEADER_BYTES) break;
        left = header.readUInt32BE(1);
        judged = header[0] !== 0 || left === 0 || left > LONGEST_KEEPALIVE;
        payloadFill = 0;
        if (judged) active = true;
        if (left === 0) headerFill = 0;
        continue;
      }
      const taken = Math.min(left, chunk.length - at);
      if (judged) active = true;
      else payloadFill += chunk.copy(payload, payloadFill, at, at + taken);
      at += taken;
      left -= taken;
      if (left > 0) break;
      headerFill = 0;
      if (!judged && !active && !isKeepalive(payload.toString('utf8', 0, payloadFill))) active = true;
    }
    return active;
  };
}

const KEEPALIVES = new Set(['{"event":{"keepalive":{}}}', '{"keepalive":{}}']);

function isKeepalive(text: string): boolean {
  if (KEEPALIVES.has(text)) return true;
  try {
    return KEEPALIVES.has(JSON.stringify(JSON.parse(text)));
  } catch {
    return false;
  }
}

/** The frame that ends a stream with an error. */
export function endOfStream(error: { code: string; message: string }): Buffer {
  const payload = Buffer.from(JSON.stringify({ error }));
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt8(END_OF_STREAM);
  header.writeUInt32BE(payload.length, 1);
  return Buffer.concat([header, payload]);
}
