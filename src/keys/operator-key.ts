import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { KeyError } from './key-error.js';
import { makeKeyFile } from './make-key-file.js';

const PATTERN = /^dormouse_operator_[0-9a-f]{64}$/;

/** Opens the operator's API. The file is read for each request: another key in it counts from the next one on. */
export class OperatorKey {
  private constructor(readonly file: string) {}

  /**
   * Makes the file (mode 0600) with a new key if it is not there. Processes that start together all get the same key.
   *
   * @throws KeyError `KeyFileInsecure` if group or others can get at it; `KeyFileInvalid` if it holds no such key
   */
  static async ensure(file: string): Promise<OperatorKey> {
    const key = new OperatorKey(file);
    if ((await key.#read()) === undefined)
      await makeKeyFile(file, `dormouse_operator_${randomBytes(32).toString('hex')}\n`);
    await key.#read();
    return key;
  }

  /** Time does not depend on the key. @throws as `ensure` */
  async opens(presented: string): Promise<boolean> {
    const key = await this.#read();
    return key !== undefined && timingSafeEqual(sha256(key), sha256(presented));
  }

  async #read(): Promise<string | undefined> {
    const { file } = this;
    const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    if (handle === undefined) return undefined;
    try {
      const { mode, size } = await handle.stat();
      if ((mode & 0o077) !== 0) {
        throw new KeyError(
          'KeyFileInsecure',
          `group or others can get at the operator's key file ${file}. Remove it, and start the api again: it makes another key.`,
        );
      }
      const key = size > 256 ? '' : (await handle.readFile('utf8')).trim();
      if (PATTERN.test(key)) return key;
      throw new KeyError(
        'KeyFileInvalid',
        `the operator's key file ${file} holds no operator key. Remove it, and start the api again: it makes one.`,
      );
    } finally {
      await handle.close();
    }
  }
}

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();
