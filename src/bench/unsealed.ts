/**
 * Loaded into a service of the bench before its own code (`--import`), to have something to compare sealing with: the
 * same work on the same bytes, in which the cipher hands on what it gets and long data is not hashed. Nothing else is
 * changed: pages are compared and compressed, images are written and synced, disks stay encrypted. The service itself
 * has no such mode, and nothing but the bench loads this.
 */
import crypto, { type CipherGCM, type DecipherGCM, type Hash } from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';

const TAG_BYTES = 16;
/** Keys, names and small files are hashed and sealed as ever. */
const LONG_BYTES = 4_096;

/** Stands in for both directions. */
class NoCipher {
  setAAD(): this {
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
    return Buffer.alloc(TAG_BYTES);
  }
}

const { createHash } = crypto;
const ours = {
  createCipheriv: (): CipherGCM => new NoCipher() as unknown as CipherGCM,
  createDecipheriv: (): DecipherGCM => new NoCipher() as unknown as DecipherGCM,
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
