import { stat } from 'node:fs/promises';
import { z } from 'zod';
import { changeAlone, readJson, writeDurably } from '../durable-file.js';
import { changedLimits, effectiveLimits, ownLimits, type Limits, type LimitsChange, type OwnLimits } from './limits.js';

/** What is kept of tenants. A file on one machine; several api processes on several machines need a database. */
export interface TenantStore {
  /** As known in this process: a change elsewhere counts within a second. */
  limitsOf(tenant: string): Limits;
  ownLimitsOf(tenant: string): OwnLimits;
  /** Tenants that have limits of their own. */
  withOwnLimits(): string[];
  /** Durable when it resolves. @returns the tenant's own limits since */
  change(tenant: string, change: LimitsChange): Promise<OwnLimits>;
}

const fileShape = z.object({
  tenants: z.array(z.object({ tenant: z.string().min(1).max(64), limits: ownLimits })),
});

const LOOK_EVERY_MS = 500;

type Own = Map<string, OwnLimits>;

export class FileTenantStore implements TenantStore {
  #own: Own = new Map();
  #version = '';
  #timer: NodeJS.Timeout | undefined;

  private constructor(
    private readonly file: string,
    private readonly defaults: Limits,
  ) {}

  /**
   * @param onError told when the file cannot be read later on; what was read before goes on counting
   * @throws Error when the file is there but cannot be read
   */
  static async open(
    file: string,
    defaults: Limits,
    onError: (error: unknown) => void,
    everyMs = LOOK_EVERY_MS,
  ): Promise<FileTenantStore> {
    const store = new FileTenantStore(file, defaults);
    await store.#look();
    let looking = false;
    let told = false;
    store.#timer = setInterval(() => {
      if (looking) return;
      looking = true;
      store
        .#look()
        .then(() => (told = false))
        .catch((error: unknown) => {
          if (!told) onError(error);
          told = true;
        })
        .finally(() => (looking = false));
    }, everyMs).unref();
    return store;
  }

  limitsOf(tenant: string): Limits {
    return effectiveLimits(this.defaults, this.#own.get(tenant));
  }

  ownLimitsOf(tenant: string): OwnLimits {
    return this.#own.get(tenant) ?? {};
  }

  withOwnLimits(): string[] {
    return [...this.#own.keys()].sort();
  }

  async change(tenant: string, change: LimitsChange): Promise<OwnLimits> {
    return changeAlone(this.file, async () => {
      const own = await this.#read();
      const next = changedLimits(own.get(tenant) ?? {}, change);
      if (Object.keys(next).length === 0) own.delete(tenant);
      else own.set(tenant, next);
      const tenants = [...own].map(([name, limits]) => ({ tenant: name, limits }));
      await writeDurably(this.file, `${JSON.stringify({ tenants }, undefined, 2)}\n`);
      this.#own = own;
      return next;
    });
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    const found = await stat(this.file).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    const version = found === undefined ? 'missing' : `${found.ino} ${found.mtimeMs} ${found.size}`;
    if (version === this.#version) return;
    this.#own = await this.#read();
    this.#version = version;
  }

  async #read(): Promise<Own> {
    try {
      const content = await readJson(this.file);
      if (content === undefined) return new Map();
      return new Map(fileShape.parse(content).tenants.map(({ tenant, limits }) => [tenant, limits as OwnLimits]));
    } catch (error) {
      const wrong = error instanceof z.ZodError || error instanceof SyntaxError;
      if (!wrong) throw error;
      throw new Error(
        `the file of tenants' limits ${this.file} is damaged. Put it right, or remove it: all tenants then have the configured limits.`,
      );
    }
  }
}
