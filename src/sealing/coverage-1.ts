import { FormatError } from './image-error.js';
import type { OpenedChunk } from './open-chunk-1.js';

/** Checks that the chunks of a version 1 image make a whole: device state without gaps, no block twice, totals as promised. */
export class Coverage {
  readonly #device: [number, number][] = [];
  readonly #memory: [number, number][] = [];
  #chunks = 0;
  #storedPages = 0;
  #zeroPages = 0;
  #end: (OpenedChunk & { kind: 'end' }) | undefined;

  /** @throws FormatError for a second end */
  add(chunk: OpenedChunk): void {
    this.#chunks++;
    if (chunk.kind === 'end') {
      if (this.#end) throw new FormatError('it has two ends');
      this.#end = chunk;
    } else if (chunk.kind === 'device') {
      this.#device.push([chunk.offset, chunk.bytes]);
    } else {
      this.#memory.push([chunk.offset, chunk.bytes]);
      this.#storedPages += chunk.storedPages;
      this.#zeroPages += chunk.zeroPages;
    }
  }

  /** @throws FormatError if something is missing or there twice */
  check(deviceStateBytes: number): void {
    const end = this.#end;
    if (!end) throw new FormatError('it has no end: the file is cut short');
    if (
      end.chunks !== this.#chunks ||
      end.storedPages !== this.#storedPages ||
      end.zeroPages !== this.#zeroPages ||
      !inOrder(this.#memory) ||
      !inOrder(this.#device) ||
      this.#device.reduce((sum, [, bytes]) => sum + bytes, 0) !== deviceStateBytes
    ) {
      throw new FormatError('its chunks do not make a whole');
    }
  }
}

function inOrder(ranges: [offset: number, bytes: number][]): boolean {
  let reached = 0;
  for (const [offset, bytes] of ranges.sort((a, b) => a[0] - b[0])) {
    if (offset < reached) return false;
    reached = offset + bytes;
  }
  return true;
}
