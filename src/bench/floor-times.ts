import type { FloorGuest } from './floor.js';
import { row, type Row } from './statistics.js';

/** Seconds that plain libvirt took, in turn with ours. */
export class FloorTimes {
  readonly save: number[] = [];
  readonly restore: number[] = [];
  readonly #tmpfs = { save: [] as number[], restore: [] as number[] };

  constructor(private readonly floor: FloorGuest) {}

  /** @param tmpfs whether to do the same onto tmpfs, too, which is shown beside it */
  async measure(tmpfs = true): Promise<void> {
    this.save.push(await this.floor.save());
    this.restore.push(await this.floor.restore());
    if (!tmpfs) return;
    this.#tmpfs.save.push(await this.floor.save('tmpfs'));
    this.#tmpfs.restore.push(await this.floor.restore('tmpfs'));
  }

  /** @param of which guest, to tell rows apart */
  rows(of: string): Row[] {
    return [
      row(`plain save and fsync, ${of}`, undefined, 's', this.save),
      row(`plain restore until the agent answers, ${of}`, undefined, 's', this.restore),
      row(`plain save onto tmpfs, ${of}`, undefined, 's', this.#tmpfs.save),
      row(`plain restore from tmpfs, ${of}`, undefined, 's', this.#tmpfs.restore),
    ];
  }
}
