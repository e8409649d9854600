import { Transform, type TransformCallback } from 'node:stream';
import type { Cuttable } from '../relay/destination.js';

const HEADER_BYTES = 5;
/** Longer frames pass as they come. */
const LONGEST_HELD = 1024 * 1024;
const END_OF_STREAM = 2;

/** Passes a Connect stream on in whole frames: between any two of them it can be ended with an error. */
export class WholeFrames extends Transform implements Cuttable {
  #held: Buffer = Buffer.alloc(0);
  /** Bytes still to come of a frame that is too long to be held. */
  #passing = 0;
  #last: Buffer | undefined;

  constructor(private readonly errorWhen: (stopped: boolean) => { code: string; message: string }) {
    super();
  }

  cut(stopped: boolean): boolean {
    if (this.#passing > 0 || this.writableEnded) return false;
    this.#last = frame(END_OF_STREAM, { error: this.errorWhen(stopped) });
    this.end();
    return true;
  }

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const end = this.#wholeUntil(bytes);
    this.#held = bytes.subarray(end);
    done(null, bytes.subarray(0, end));
  }

  override _flush(done: TransformCallback): void {
    done(null, this.#last ?? this.#held);
  }

  #wholeUntil(bytes: Buffer): number {
    let at = Math.min(this.#passing, bytes.length);
    this.#passing -= at;
    while (bytes.length - at >= HEADER_BYTES) {
      const length = HEADER_BYTES + bytes.readUInt32BE(at + 1);
      const there = Math.min(length, bytes.length - at);
      if (there < length && length <= LONGEST_HELD) break;
      this.#passing = length - there;
      at += there;
    }
    return at;
  }
}

function frame(flags: number, message: object): Buffer {
  const payload = Buffer.from(JSON.stringify(message));
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt8(flags);
  header.writeUInt32BE(payload.length, 1);
  return Buffer.concat([header, payload]);
}
