/** Memory whose content follows from seeds alone: blocks of random bytes and of text take turns. Runs in a guest. */

export const BLOCK_BYTES = 16 * 1024 * 1024;
const MIB = 1024 * 1024;
/** What is changed lies in runs of this length, all over the memory. */
export const RUN_BYTES = 64 * 1024;
const PROSE_BYTES = 8 * MIB;
/** Odd, so that no two pages of text are alike however often the prose is repeated. */
const PROSE_SHIFT = 4_099;
const VOCABULARY = 4_096;
const LETTERS = 'eeeeeeettttaaaaooooiiinnnsssrrrhhhddlluuccmmffyywwggppbbvvkkxjqz';

/** xorshift32: quick in compiled JavaScript, also where every instruction is emulated. @returns the next state. */
export function next(state: number): number {
  let x = state;
  x ^= x << 13;
  x ^= x >>> 17;
  x ^= x << 5;
  return x;
}

/** Never zero, where xorshift would stay; and far apart for seeds that are not. */
const stateOf = (seed: number): number => Math.imul(seed + 1, 0x9e3779b1) | 1;

export class SeededMemory {
  blocks: Uint8Array<ArrayBuffer>[] = [];
  #prose: Uint8Array = new Uint8Array(0);

  /** @param mib at least 1. @returns the checksum. */
  fill(mib: number, seed: number): string {
    this.#prose = prose(PROSE_BYTES, seed);
    const bytes = mib * MIB;
    // Blocks are kept where they are: a fill over a fill takes no second memory.
    this.blocks = Array.from({ length: Math.ceil(bytes / BLOCK_BYTES) }, (_, index) => {
      const length = Math.min(BLOCK_BYTES, bytes - index * BLOCK_BYTES);
      const kept = this.blocks[index];
      return kept?.length === length ? kept : new Uint8Array(length);
    });
    this.blocks.forEach((block, index) => this.#write(block, index, seed * 65_536 + index));
    return this.checksum();
  }

  /** Rewrites `mib` MiB in runs at seeded places, none twice. @returns the checksum. */
  change(mib: number, seed: number): string {
    const runs = this.blocks.flatMap((block, index) =>
      Array.from({ length: block.length / RUN_BYTES }, (_, run) => ({ block, index, at: run * RUN_BYTES })),
    );
    let state = stateOf(seed);
    for (let done = 0; done < (mib * MIB) / RUN_BYTES; done++) {
      state = next(state);
      const chosen = done + ((state >>> 0) % (runs.length - done));
      [runs[done], runs[chosen]] = [runs[chosen]!, runs[done]!];
      const { block, index, at } = runs[done]!;
      this.#write(block.subarray(at, at + RUN_BYTES), index, seed * 65_536 + done);
    }
    return this.checksum();
  }

  /** Of every byte, in order. */
  checksum(): string {
    let sum = 1;
    for (const block of this.blocks) {
      const words = wordsOf(block);
      for (let at = 0; at < words.length; at++) sum = (Math.imul(sum, 31) + words[at]!) | 0;
    }
    return (sum >>> 0).toString(16).padStart(8, '0');
  }

  #write(to: Uint8Array, index: number, seed: number): void {
    if (index % 2 === 0) return writeRandom(wordsOf(to), seed);
    let from = (seed * PROSE_SHIFT) % this.#prose.length;
    for (let at = 0; at < to.length;) {
      const part = this.#prose.subarray(from, from + Math.min(this.#prose.length - from, to.length - at));
      to.set(part, at);
      at += part.length;
      from = (from + part.length + PROSE_SHIFT) % this.#prose.length;
    }
  }
}

function writeRandom(words: Uint32Array, seed: number): void {
  let state = stateOf(seed);
  for (let at = 0; at < words.length; at++) {
    state = next(state);
    words[at] = state;
  }
}

/** Words of two to nine letters, the first of the vocabulary far more often than the last, as in prose. */
export function prose(bytes: number, seed: number): Uint8Array {
  let state = stateOf(seed);
  const draw = (below: number): number => ((state = next(state)) >>> 0) % below;
  const vocabulary = Array.from({ length: VOCABULARY }, () =>
    Uint8Array.from({ length: 2 + draw(8) }, () => LETTERS.charCodeAt(draw(LETTERS.length))),
  );
  const text = new Uint8Array(bytes).fill(' '.charCodeAt(0));
  for (let at = 0; ;) {
    const word = vocabulary[draw(1 + draw(1 + draw(VOCABULARY)))]!;
    if (at + word.length > bytes) return text;
    text.set(word, at);
    at += word.length + 1;
  }
}

const wordsOf = (bytes: Uint8Array): Uint32Array =>
  new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
