import type { SandboxView } from '../../workflows/view.js';
import type { Logger } from '../log.js';
import { listSandboxIds, readManifest, writeManifest, type Manifest } from './manifest.js';
import type { StatePaths } from './state-paths.js';

/**
 * All manifests of this host, in memory and on disk: written to disk first, so that what the index answers is durable.
 * The api serves get and list from here.
 */
export class SandboxIndex {
  readonly #manifests = new Map<string, Manifest>();
  /** Generations at which sandboxes were destroyed: a late attempt of an earlier step must not bring one back. */
  readonly #destroyed = new Map<string, number>();

  readonly #unreadable = new Set<string>();

  private constructor(
    readonly paths: StatePaths,
    private readonly manifestsKey: Buffer,
  ) {}

  /** @param manifestsKey the master key's subkey `manifests`: a manifest without its code, or with another, is unreadable */
  static async load(paths: StatePaths, manifestsKey: Buffer, log: Logger): Promise<SandboxIndex> {
    const index = new SandboxIndex(paths, manifestsKey);
    for (const id of await listSandboxIds(paths)) {
      try {
        const manifest = await readManifest(paths, id, manifestsKey);
        if (manifest === undefined)
          log.warn({ sandbox: id }, 'a sandbox directory without a manifest; left for the reaper');
        else index.#manifests.set(id, manifest);
      } catch (error) {
        log.error({ sandbox: id, err: error }, 'a manifest cannot be read; this sandbox is left as it is');
        index.#unreadable.add(id);
      }
    }
    return index;
  }

  get(id: string): Manifest | undefined {
    return this.#manifests.get(id);
  }

  /** Its manifest is there and cannot be read, or is not authentic: nothing is known, and nothing must be concluded from that. */
  isUnreadable(id: string): boolean {
    return this.#unreadable.has(id);
  }

  all(): Manifest[] {
    return [...this.#manifests.values()];
  }

  async put(manifest: Manifest): Promise<void> {
    await writeManifest(this.paths, manifest, this.manifestsKey);
    this.#manifests.set(manifest.id, manifest);
    this.#unreadable.delete(manifest.id);
  }

  /** @returns the changed manifest. @throws Error when the sandbox is not known. */
  async change(id: string, change: Partial<Omit<Manifest, 'id' | 'schema'>>): Promise<Manifest> {
    const current = this.#manifests.get(id);
    if (current === undefined) throw new Error(`there is no manifest of sandbox ${id} on this host`);
    const next = { ...current, ...change };
    await this.put(next);
    return next;
  }

  /** The manifest without its image: after the machine has run on, that image is dead. */
  async dropImage(id: string, change: Partial<Omit<Manifest, 'id' | 'schema' | 'image'>>): Promise<Manifest> {
    const current = this.#manifests.get(id);
    if (current === undefined) throw new Error(`there is no manifest of sandbox ${id} on this host`);
    const { image: _dead, ...rest } = current;
    const next = { ...rest, ...change };
    await this.put(next);
    return next;
  }

  forget(id: string, generation: number): void {
    this.#manifests.delete(id);
    this.#unreadable.delete(id);
    this.#destroyed.set(id, generation);
    const oldest = this.#destroyed.keys().next();
    if (this.#destroyed.size > 100_000 && oldest.done !== true) this.#destroyed.delete(oldest.value);
  }

  /** Highest generation that this host has seen of the sandbox; 0 when none. */
  generation(id: string): number {
    return this.#manifests.get(id)?.generation ?? this.#destroyed.get(id) ?? 0;
  }

  /** As clients may see it: a warm machine is not there yet. */
  view(id: string): SandboxView | undefined {
    const view = this.#manifests.get(id)?.view;
    return view?.spec.warm === true ? undefined : view;
  }

  views(): SandboxView[] {
    return this.all().flatMap(({ view }) => (view.spec.warm === true ? [] : [view]));
  }
}
