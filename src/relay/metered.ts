import { Transform, type TransformCallback } from 'node:stream';

/** Lets as many bytes through as it was granted, and holds the rest up. */
export class Metered extends Transform {
  #granted = 0;
  #goOn: (() => void) | undefined;

  grant(bytes: number): void {
    this.#granted += bytes;
    const goOn = this.#goOn;
    this.#goOn = undefined;
    goOn?.();
  }

  override _transform(chunk: Buffer, encoding: BufferEncoding, done: TransformCallback): void {
    const now = Math.min(this.#granted, chunk.length);
    this.#granted -= now;
    if (now > 0) this.push(chunk.subarray(0, now));
    if (now === chunk.length) return done();
    this.#goOn = () => this._transform(chunk.subarray(now), encoding, done);
  }
}
