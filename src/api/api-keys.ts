import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { mkdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { writeDurably } from '../durable-file.js';

/**
 * The file of API keys: hashes only, `{keys: [{tenant, hash, createdAt}]}`. A plain SHA-256 is enough: a key is 32
 * random bytes, so there is nothing to guess.
 */
const fileShape = z.object({
  keys: z.array(
    z.object({
      tenant: z.string().min(1).max(64),
      hash: z.string().regex(/^[0-9a-f]{64}$/),
      createdAt: z.string().optional(),
    }),
  ),
});

type KeyFile = z.infer<typeof fileShape>;

const LOOK_AGAIN_AFTER_MS = 1_000;

/** Knows which tenant a key belongs to. Follows changes of the file within a second or so. */
export class ApiKeys {
  #keys: { tenant: string; hash: Buffer }[] = [];
  #version = '';
  #lookedAt = -Infinity;

  #looking: Promise<void> | undefined;

  constructor(private readonly file: string) {}

  /**
   * @returns the key's tenant, or undefined for a key that nobody has. Time does not depend on the key.
   * @throws Error when the file is there but cannot be read
   */
  async tenantOf(key: string): Promise<string | undefined> {
    await this.#refresh();
    const presented = sha256(key);
    let tenant: string | undefined;
    for (const known of this.#keys) if (timingSafeEqual(known.hash, presented)) tenant = known.tenant;
    return tenant;
  }

  /** Who comes while the file is being read waits for it: the first requests after a start know its keys, too. */
  async #refresh(): Promise<void> {
    if (performance.now() - this.#lookedAt < LOOK_AGAIN_AFTER_MS) return;
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    await this.#looking;
    this.#lookedAt = performance.now();
  }

  async #look(): Promise<void> {
    const now = await stat(this.file).catch(missing);
    const version = now === undefined ? 'missing' : `${now.ino} ${now.mtimeMs} ${now.size}`;
    if (version === this.#version) return;
    const { keys } = await readKeys(this.file);
    this.#keys = keys.map(({ tenant, hash }) => ({ tenant, hash: Buffer.from(hash, 'hex') }));
    this.#version = version;
  }
}

/** Whether `key` is one of the file's. */
export const isKnownKey = async (file: string, key: string): Promise<boolean> =>
  (await new ApiKeys(file).tenantOf(key)) !== undefined;

/** Makes a key for a tenant and adds its hash to the file. @returns the key itself, which stands nowhere else. */
export async function mintKey(file: string, tenant: string): Promise<string> {
  const key = `dormouse_${randomBytes(32).toString('hex')}`;
  const { keys } = await readKeys(file);
  keys.push({ tenant, hash: sha256(key).toString('hex'), createdAt: new Date().toISOString() });
  await writeKeys(file, fileShape.parse({ keys }));
  return key;
}

/** On the first run, when there is no file yet: makes it with one key. @returns that key, or undefined. */
export async function ensureFirstKey(file: string, tenant = 'default'): Promise<string | undefined> {
  return (await stat(file).catch(missing)) === undefined ? mintKey(file, tenant) : undefined;
}

async function readKeys(file: string): Promise<KeyFile> {
  const text = await readFile(file, 'utf8').catch(missing);
  if (text === undefined) return { keys: [] };
  try {
    return fileShape.parse(JSON.parse(text));
  } catch {
    throw new Error(`the file of API keys ${file} cannot be read as such. Put it right, or remove it to start anew.`);
  }
}

async function writeKeys(file: string, content: KeyFile): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  await writeDurably(file, `${JSON.stringify(content, undefined, 2)}\n`);
}

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

function missing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
