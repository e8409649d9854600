import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { deriveKey, KEY_BYTES, type KeyLabel } from './derive.js';
import { KeyError } from './key-error.js';
import { makeKeyFile } from './make-key-file.js';
import { closeBox, openBox } from './secret-box.js';

/** What a key management service must be able to do to stand in for the master key file. */
export interface KeyWrapper {
  /** @param context what the key belongs to; `unwrap` needs the same */
  wrap(dataKey: Buffer, context: string): Promise<Buffer>;
  /** @throws KeyError `WrappedKeyDamaged` */
  unwrap(wrapped: Buffer, context: string): Promise<Buffer>;
}

export interface MasterKey {
  wrapper: KeyWrapper;
  /** The subkey for one purpose, 32 bytes. */
  derive(label: KeyLabel): Buffer;
}

/**
 * Loads the master key from a file, which is made (32 random bytes as base64 text, mode 0600) if it is not there.
 * Processes that start together all get the same key. Losing the file loses every paused sandbox.
 *
 * @param file path; its directory is made with mode 0700 if missing
 * @throws KeyError `KeyFileInsecure` if group or others can get at it, or it belongs to another user;
 *   `KeyFileInvalid` if it holds no key; errors of the file system as they are
 */
export async function fileMasterKey(file: string): Promise<MasterKey> {
  return masterKeyOf((await readKeyFile(file)) ?? (await makeMasterKey(file)), file);
}

/**
 * As `fileMasterKey`, for those who change nothing.
 *
 * @throws KeyError `KeyFileMissing` too
 */
export async function existingMasterKey(file: string): Promise<MasterKey> {
  const master = await readKeyFile(file);
  if (master === undefined) {
    const todo = 'the service makes one at its first start; if it has run, set DORMOUSE_MASTER_KEY_FILE as it has it';
    throw new KeyError('KeyFileMissing', `there is no master key file ${file}: ${todo}`);
  }
  return masterKeyOf(master, file);
}

function masterKeyOf(master: Buffer, file: string): MasterKey {
  const wrapKey = deriveKey(master, 'wrap');
  return {
    derive: (label) => deriveKey(master, label),
    wrapper: {
      wrap: (dataKey, context) => Promise.resolve(closeBox(wrapKey, ['wrap', context], dataKey)),
      async unwrap(wrapped, context) {
        const dataKey = openBox(wrapKey, ['wrap', context], wrapped);
        if (dataKey) return dataKey;
        const message = `the wrapped key of ${JSON.stringify(context)} is damaged, or was wrapped under another master key than ${file}`;
        throw new KeyError('WrappedKeyDamaged', message);
      },
    },
  };
}

async function makeMasterKey(file: string): Promise<Buffer> {
  await makeKeyFile(file, `${randomBytes(KEY_BYTES).toString('base64')}\n`);
  const key = await readKeyFile(file);
  if (!key) throw new KeyError('KeyFileInvalid', `the master key file ${file} went away while it was being made`);
  return key;
}

async function readKeyFile(file: string): Promise<Buffer | undefined> {
  const handle = await open(file, constants.O_RDONLY).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (!handle) return undefined;
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) throw new KeyError('KeyFileInvalid', `the master key ${file} is not a regular file`);
    if ((stat.mode & 0o077) !== 0) {
      const mode = (stat.mode & 0o777).toString(8).padStart(4, '0');
      throw new KeyError(
        'KeyFileInsecure',
        `the master key file ${file} has mode ${mode}: only its owner may have access. If nobody can have read it, run: chmod 600 ${file}`,
      );
    }
    const me = process.geteuid?.();
    if (me !== undefined && stat.uid !== me && stat.uid !== 0) {
      throw new KeyError(
        'KeyFileInsecure',
        `the master key file ${file} belongs to user ${stat.uid}, this is user ${me}`,
      );
    }
    if (stat.size > 256) throw new KeyError('KeyFileInvalid', notAKey(file));
    const text = (await handle.readFile('utf8')).trim();
    const key = Buffer.from(text, 'base64');
    if (key.length !== KEY_BYTES || key.toString('base64') !== text)
      throw new KeyError('KeyFileInvalid', notAKey(file));
    return key;
  } finally {
    await handle.close();
  }
}

const notAKey = (file: string): string =>
  `the master key file ${file} does not hold a key: expected ${KEY_BYTES} bytes as base64 text`;
