import { Socket } from 'node:net';

/**
 * A connection to a service that may answer and go before it has read all that it was sent. Node gives a connection up when a
 * write fails, together with what has come on it. Here a fault ends what is sent, and what comes is read to its end.
 * Emits `broken` at the first fault.
 */
export class ServiceConnection extends Socket {
  #open = false;
  #broken = false;
  #deaf = false;

  constructor() {
    super({ allowHalfOpen: true });
    this.setNoDelay(true);
    this.once('connect', () => (this.#open = true));
  }

  get isBroken(): boolean {
    return this.#broken;
  }

  /** Whether it has not taken all that it was sent: the rest is let go. */
  get isDeaf(): boolean {
    return this.#deaf || (this.#broken && this.writableLength > 0);
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#deaf) return done();
    super._write(chunk, encoding, this.#heard(done));
  }

  override _writev(chunks: { chunk: Buffer; encoding: BufferEncoding }[], done: (error?: Error | null) => void): void {
    if (this.#deaf) return done();
    super._writev!(chunks, this.#heard(done));
  }

  override destroy(error?: Error): this {
    if (error === undefined || !this.#open) return super.destroy(error);
    this.#fail();
    // As Node does at a regular end.
    this.push(null);
    this.read(0);
    return this;
  }

  #heard(done: () => void): (error?: Error | null) => void {
    return (error) => {
      if (error) {
        this.#deaf = true;
        this.#fail();
      }
      done();
    };
  }

  #fail(): void {
    if (this.#broken) return;
    this.#broken = true;
    this.emit('broken');
  }
}
