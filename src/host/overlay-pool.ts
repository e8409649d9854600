import { randomBytes } from 'node:crypto';
import { mkdir, readFile, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { diskPassphrase, newSandboxKey, unwrapSandboxKey, wrapSandboxKey } from '../keys/sandbox-key.js';
import type { KeyWrapper } from '../keys/master-key.js';
import type { Logger } from '../log.js';
import { writeDurably } from '../durable-file.js';

const LOOK_AGAIN_AFTER_MS = 250;

/**
 * LUKS overlays made ahead of time, each with its own random key: formatting one takes seconds, because QEMU times its
 * key derivation. An entry is a directory `<templateKey>.<name>` with `overlay.qcow2` and `key.wrapped`; it is complete
 * once it has its final name, and claimed by one rename.
 */
export class OverlayPool {
  #filling: Promise<void> = Promise.resolve();
  readonly #closed = new AbortController();

  constructor(
    private readonly options: {
      directory: string;
      size: number;
      wrapper: KeyWrapper;
      /** One that is made during a create takes a core from the guest that wakes. */
      isIdle: () => boolean;
      makeOverlay: (file: string, base: string, passphrase: string, ahead: boolean) => Promise<void>;
      log: Logger;
    },
  ) {}

  /**
   * Moves an overlay to `overlayFile` (on the same filesystem); the next one is made when the host is idle.
   * @returns the data key, under which the overlay's passphrase was derived.
   */
  async claim(templateKey: string, base: string, overlayFile: string): Promise<Buffer> {
    const ready = await this.#entries(templateKey);
    for (const entry of ready) {
      const claimed = path.join(this.options.directory, `claimed-${randomBytes(8).toString('hex')}`);
      const got = await rename(path.join(this.options.directory, entry), claimed).then(
        () => true,
        () => false,
      );
      if (!got) continue;
      const name = entry.slice(templateKey.length + 1);
      const dataKey = await unwrapSandboxKey(
        this.options.wrapper,
        name,
        await readFile(path.join(claimed, 'key.wrapped')),
      );
      await rename(path.join(claimed, 'overlay.qcow2'), overlayFile);
      await rm(claimed, { recursive: true, force: true });
      this.fill(templateKey, base);
      return dataKey;
    }
    this.fill(templateKey, base);
    const dataKey = newSandboxKey();
    await rm(overlayFile, { force: true });
    await this.options.makeOverlay(overlayFile, base, diskPassphrase(dataKey), false);
    return dataKey;
  }

  /** Brings the pool to its size, one after the other, in the background, whenever the host is idle. */
  fill(templateKey: string, base: string): void {
    this.#filling = this.#filling
      .then(async () => {
        const { signal } = this.#closed;
        while (!signal.aborted && (await this.#entries(templateKey)).length < this.options.size) {
          if (this.options.isIdle()) await this.#add(templateKey, base);
          else await delay(LOOK_AGAIN_AFTER_MS, undefined, { ref: false, signal }).catch(() => undefined);
        }
      })
      .catch((error: unknown) => this.options.log.warn({ err: error }, 'an overlay could not be made ahead of time'));
  }

  /** Removes what a crash left half-made. */
  async sweep(): Promise<void> {
    await mkdir(this.options.directory, { recursive: true, mode: 0o700 });
    for (const entry of await readdir(this.options.directory)) {
      if (entry.startsWith('claimed-') || entry.startsWith('draft-')) {
        await rm(path.join(this.options.directory, entry), { recursive: true, force: true });
      }
    }
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.#filling;
  }

  async #entries(templateKey: string): Promise<string[]> {
    return (await readdir(this.options.directory)).filter((entry) => entry.startsWith(`${templateKey}.`));
  }

  async #add(templateKey: string, base: string): Promise<void> {
    const name = randomBytes(8).toString('hex');
    const draft = path.join(this.options.directory, `draft-${name}`);
    await mkdir(draft, { mode: 0o700 });
    const dataKey = newSandboxKey();
    await this.options.makeOverlay(path.join(draft, 'overlay.qcow2'), base, diskPassphrase(dataKey), true);
    await writeDurably(path.join(draft, 'key.wrapped'), await wrapSandboxKey(this.options.wrapper, name, dataKey));
    dataKey.fill(0);
    await rename(draft, path.join(this.options.directory, `${templateKey}.${name}`));
  }
}
