/**
 * Loaded into a service of the bench before its own code (`--import`), to have something to compare sealing with: the
 * same work on the same bytes, in which the cipher hands on what it gets and long data is not hashed. Nothing else is
 * changed: pages are compared (by the digests of their parts, which stay what they are) and compressed, images are written
 * and synced, disks stay encrypted. The service itself has no such mode, and nothing but the bench loads this.
 */
import crypto, { type CipherGCM, type DecipherGCM, type Hash } from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';

const TAG_BYTES = 16;
/** Keys, names and small files are hashed and sealed as ever. */
const LONG_BYTES = 4_096;

const { createCipheriv, createHash } = crypto;

/** Stands in for both directions. */
class NoCipher {
  #digest: CipherGCM | undefined;

  constructor(private readonly given: Parameters<typeof createCipheriv>) {}

  /** Long data that is only authenticated is a part of memory whose digest is asked for: what did not change is known by it. */
  setAAD(data: Uint8Array): this {
    if (data.byteLength > LONG_BYTES) this.#digest = (createCipheriv(...this.given) as CipherGCM).setAAD(data);
    return this;
  }
  setAuthTag(): this {
    return this;
  }
  update(data: Uint8Array): Buffer {
    return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  }
  final(): Buffer {
    return Buffer.alloc(0);
  }
  getAuthTag(): Buffer {
    this.#digest?.final();
    return this.#digest?.getAuthTag() ?? Buffer.alloc(TAG_BYTES);
  }
}

const ours = {
  createCipheriv: (...given: Parameters<typeof createCipheriv>): CipherGCM =>
    new NoCipher(given) as unknown as CipherGCM,
  createDecipheriv: (...given: Parameters<typeof createCipheriv>): DecipherGCM =>
    new NoCipher(given) as unknown as DecipherGCM,
  createHash: (...args: Parameters<typeof createHash>): Hash => {
    const hash = createHash(...args);
    const plain = { update: hash.update.bind(hash), digest: hash.digest.bind(hash) };
    let long = false;
    return Object.assign(hash, {
      update: (data: crypto.BinaryLike): Hash => {
        if (typeof data === 'string' || data.byteLength <= LONG_BYTES) plain.update(data);
        else long = true;
        return hash;
      },
      // However the same long data is cut into pieces, it has the same digest: that of nothing.
      digest: (encoding: crypto.BinaryToTextEncoding) => (long ? createHash(...args) : plain).digest(encoding),
    });
  },
};
Object.assign(crypto, ours);
syncBuiltinESMExports();
