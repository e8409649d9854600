import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { z } from 'zod';
import type { KeyFacts, KeyStore } from './key-store.js';
import { changeAlone, writeDurably } from '../durable-file.js';

/**
 * The file of API keys: hashes only, `{keys: [{tenant, hash, createdAt, label}]}`. A plain SHA-256 is enough: a key is 32
 * random bytes, so there is nothing to guess.
 */
const fileShape = z.object({
  keys: z.array(
    z.object({
      tenant: z.string().min(1).max(64),
      hash: z.string().regex(/^[0-9a-f]{64}$/),
      createdAt: z.string().optional(),
      label: z.string().max(200).optional(),
    }),
  ),
});

type KeyFile = z.infer<typeof fileShape>;

/** Knows which tenant a key belongs to. Looks at the file for each request: a key that is revoked opens nothing from then on. */
export class ApiKeys implements KeyStore {
  #keys: { tenant: string; hash: Buffer }[] = [];
  #version = '';
  #looking: Promise<void> | undefined;
  #next: Promise<void> | undefined;

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

  list(): Promise<KeyFacts[]> {
    return listKeys(this.file);
  }

  async mint(tenant: string, label?: string): Promise<KeyFacts & { key: string }> {
    const key = await mintKey(this.file, tenant, label);
    const id = idOf(sha256(key).toString('hex'));
    return { key, ...(await this.list()).find((known) => known.id === id)! };
  }

  async label(id: string, label: string): Promise<KeyFacts | undefined> {
    await changeKeys(this.file, (keys) => keys.map((key) => (idOf(key.hash) === id ? { ...key, label } : key)));
    return (await this.list()).find((known) => known.id === id);
  }

  async revoke(id: string): Promise<KeyFacts | undefined> {
    let revoked: KeyFacts | undefined;
    await changeKeys(this.file, (keys) =>
      keys.filter((key) => {
        if (idOf(key.hash) !== id) return true;
        revoked = factsOf(key);
        return false;
      }),
    );
    return revoked;
  }

  /** One look serves all that came before it began; who comes while it goes on waits for the next one. */
  async #refresh(): Promise<void> {
    this.#next ??= (this.#looking ?? Promise.resolve())
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        return (this.#looking = this.#look());
      });
    await this.#next;
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

const ID_LENGTH = 12;

const idOf = (hash: string): string => hash.slice(0, ID_LENGTH);

/** Makes a key for a tenant and adds its hash to the file. @returns the key itself, which stands nowhere else. */
export async function mintKey(file: string, tenant: string, label?: string): Promise<string> {
  const key = `dormouse_${randomBytes(32).toString('hex')}`;
  const entry = { tenant, hash: sha256(key).toString('hex'), createdAt: new Date().toISOString() };
  await changeKeys(file, (keys) => [...keys, { ...entry, ...(label === undefined ? {} : { label }) }]);
  return key;
}

export async function listKeys(file: string): Promise<KeyFacts[]> {
  return (await readKeys(file)).keys.map(factsOf);
}

/**
 * @param which a key, its id, or the beginning of that
 * @throws Error when it names no key, or several
 */
export async function revokeKey(file: string, which: string): Promise<KeyFacts> {
  let revoked: KeyFacts | undefined;
  const hash = which.startsWith('dormouse_') ? sha256(which).toString('hex') : which;
  await changeKeys(file, (keys) => {
    const named = keys.filter((key) => hash.length >= 4 && key.hash.startsWith(hash));
    const [only] = named;
    if (only === undefined) throw new Error('no API key has this id; `list` shows them');
    if (named.length > 1) throw new Error(`${named.length} API keys have an id that begins so; give more of it`);
    revoked = factsOf(only);
    return keys.filter((key) => key !== only);
  });
  return revoked!;
}

const factsOf = ({ hash, tenant, label, createdAt }: KeyFile['keys'][number]): KeyFacts => ({
  ...{ id: idOf(hash), tenant, label, createdAt },
});

/** Alone: of two changes at once neither is lost. */
async function changeKeys(file: string, change: (keys: KeyFile['keys']) => KeyFile['keys']): Promise<void> {
  await changeAlone(file, async () => {
    const { keys } = await readKeys(file);
    await writeKeys(file, fileShape.parse({ keys: change(keys) }));
  });
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
  await writeDurably(file, `${JSON.stringify(content, undefined, 2)}\n`);
}

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

function missing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
