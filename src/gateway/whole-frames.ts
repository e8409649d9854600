import { Transform, type TransformCallback } from 'node:stream';
import type { Cuttable } from '../relay/destination.js';
import { endOfStream, HEADER_BYTES } from './connect-frames.js';

/** What the agent reads of a program's output at once, 64 KiB, in base64 and JSON. Longer frames pass as they come. */
const LONGEST_HELD = 96 * 1024;
const SMALLEST_BUFFER = 1024;
const NOTHING = Buffer.alloc(0);

/** Of the sandbox that the stream comes from. */
export interface Room {
  /** @returns false when so many more bytes may not be held. */
  take(bytes: number): boolean;
  give(bytes: number): void;
}

/**
 * Passes a Connect stream on in whole frames: between any two of them it can be ended with an error, or broken off.
 *
 * Danger: a hostile guest may send one byte at a time. A chunk must never cost more than its own length, so the bytes of
 * an unfinished frame are copied into one buffer that doubles, and never joined anew.
 */
export class WholeFrames extends Transform implements Cuttable {
  /** An unfinished frame: the first `#fill` bytes. */
  #held = NOTHING;
  #fill = 0;
  /** Bytes still to come of a frame that is not held. */
  #passing = 0;
  #last: Buffer | undefined;

  /** Its reader gets no end of the stream, and is to see that. */
  brokenOff = false;

  /** @param errorWhen what a stream that is cut ends with; undefined: it is broken off */
  constructor(
    private readonly errorWhen: (asked: boolean) => { code: string; message: string } | undefined,
    private readonly room: Room,
  ) {
    super();
  }

  cut(asked: boolean): boolean {
    if (this.#passing > 0 || this.writableEnded) return false;
    const error = this.errorWhen(asked);
    this.brokenOff = error === undefined;
    this.#last = error === undefined ? NOTHING : endOfStream(error);
    this.end();
    return true;
  }

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    const rest = this.#fill === 0 ? chunk : this.#addToHeld(chunk);
    const end = this.#wholeUntil(rest);
    if (end > 0) this.push(rest.subarray(0, end));
    if (end < rest.length) this.#addToHeld(rest.subarray(end));
    done();
  }

  override _flush(done: TransformCallback): void {
    const last = this.#last ?? this.#held.subarray(0, this.#fill);
    this.#release();
    done(null, last);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#release();
    done(error);
  }

  /** Holds what belongs to the unfinished frame, or passes it on with what is held. @returns what comes after. */
  #addToHeld(chunk: Buffer): Buffer {
    let rest = chunk;
    while (rest.length > 0) {
      const wanted = this.#fill < HEADER_BYTES ? HEADER_BYTES : lengthOf(this.#held);
      const piece = rest.subarray(0, wanted - this.#fill);
      rest = rest.subarray(piece.length);
      const held = this.#hold(piece);
      const isOver = this.#fill >= HEADER_BYTES && (this.#fill === lengthOf(this.#held) || isLong(this.#held));
      if (held && !isOver) continue;
      this.#passHeld(held ? NOTHING : piece);
      return rest;
    }
    return rest;
  }

  /** How much can be passed on: to the end of the last whole frame, or all when the frame after it is long. */
  #wholeUntil(bytes: Buffer): number {
    let at = Math.min(this.#passing, bytes.length);
    this.#passing -= at;
    while (bytes.length - at >= HEADER_BYTES) {
      const header = bytes.subarray(at);
      const there = Math.min(lengthOf(header), header.length);
      if (there < lengthOf(header) && !isLong(header)) break;
      this.#passing = lengthOf(header) - there;
      at += there;
    }
    return at;
  }

  /** @returns false when there is no room; then the bytes are not held. There always is for a header. */
  #hold(bytes: Buffer): boolean {
    const fill = this.#fill + bytes.length;
    if (fill > this.#held.length) {
      const doubled = Math.min(2 * this.#held.length, LONGEST_HELD);
      const size = fill <= HEADER_BYTES ? HEADER_BYTES : Math.max(SMALLEST_BUFFER, fill, doubled);
      if (size > HEADER_BYTES && !this.room.take(size - this.#counted)) return false;
      const larger = Buffer.allocUnsafe(size);
      this.#held.copy(larger, 0, 0, this.#fill);
      this.#held = larger;
    }
    bytes.copy(this.#held, this.#fill);
    this.#fill = fill;
    return true;
  }

  /** Passes the held bytes on, and `more` after them; the rest of their frame passes as it comes. */
  #passHeld(more: Buffer): void {
    const held = this.#held.subarray(0, this.#fill);
    this.#release();
    this.#passing = lengthOf(held) - held.length - more.length;
    this.push(held);
    if (more.length > 0) this.push(more);
  }

  get #counted(): number {
    return this.#held.length > HEADER_BYTES ? this.#held.length : 0;
  }

  #release(): void {
    this.room.give(this.#counted);
    this.#held = NOTHING;
    this.#fill = 0;
  }
}

const lengthOf = (header: Buffer): number => HEADER_BYTES + header.readUInt32BE(1);

const isLong = (header: Buffer): boolean => lengthOf(header) > LONGEST_HELD;
