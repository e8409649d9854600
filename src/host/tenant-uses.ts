import { stat } from 'node:fs/promises';
import type { AwakeSandbox, TenantUse } from '../tenants/use.js';
import { keptImages, type Manifest } from './manifest.js';
import type { SandboxIndex } from './sandbox-index.js';

const BLOCK = 512;

/** What tenants' sandboxes on this host take up. */
export class TenantUses {
  /** Of sleeping sandboxes, by id; their files change with their generation only. */
  readonly #bytes = new Map<string, { generation: number; bytes: number }>();
  #measuring = false;

  constructor(private readonly index: Pick<SandboxIndex, 'all' | 'get' | 'paths'>) {}

  /**
   * Waits for no disk: one that has just fallen asleep counts with its newest file until all are measured.
   *
   * @param named those of which it says what each counts for, if they sleep
   */
  of(tenant: string, named: readonly string[] = []): TenantUse {
    const awake: AwakeSandbox[] = [];
    const asleep = { count: 0, diskMiB: 0, bytes: 0 };
    const bytesOf: Record<string, number> = {};
    const wanted = new Set(named);
    const unmeasured: Manifest[] = [];
    for (const manifest of this.index.all()) {
      const { id, view } = manifest;
      const { spec } = view;
      if (spec.tenant !== tenant || spec.warm === true || manifest.phase.name === 'lost') continue;
      const { cpuCount: cpus, memoryMiB, diskMiB } = spec;
      if (manifest.phase.name !== 'saved') {
        awake.push({ id, cpus, memoryMiB, diskMiB, fallsAsleep: spec.onTimeout === 'pause' });
        continue;
      }
      const known = this.#bytes.get(id);
      if (known?.generation !== manifest.generation) unmeasured.push(manifest);
      asleep.count += 1;
      asleep.diskMiB += diskMiB;
      const bytes = known?.generation === manifest.generation ? known.bytes : newestFile(manifest);
      asleep.bytes += bytes;
      if (wanted.has(id)) bytesOf[id] = bytes;
    }
    if (unmeasured.length > 0) void this.#measure(unmeasured);
    return { awake, asleep: wanted.size === 0 ? asleep : { ...asleep, bytesOf } };
  }

  async #measure(manifests: readonly Manifest[]): Promise<void> {
    if (this.#measuring) return;
    this.#measuring = true;
    try {
      for (const id of this.#bytes.keys()) if (this.index.get(id) === undefined) this.#bytes.delete(id);
      for (const manifest of manifests) {
        const { id, generation } = manifest;
        this.#bytes.set(id, { generation, bytes: await this.#bytesOf(manifest) });
      }
    } finally {
      this.#measuring = false;
    }
  }

  async #bytesOf(manifest: Manifest): Promise<number> {
    const { image } = this.index.paths.sandbox(manifest.id);
    const sizes = await Promise.all(
      keptImages(manifest).map((generation) =>
        stat(image(generation)).then(
          ({ blocks }) => blocks * BLOCK,
          () => 0,
        ),
      ),
    );
    return sizes.reduce((sum, size) => sum + size, 0);
  }
}

const newestFile = ({ image }: Manifest): number => (image === undefined || image.kind === 'disk' ? 0 : image.bytes);
