import type { BenchService } from './bench-service.js';
import { FloorGuest } from './floor.js';
import type { Context } from './measurement.js';

/** Equal guests on plain libvirt that do the same at once. One is booted, the others are copies of it. */
export class FloorGroup {
  private constructor(private readonly guests: FloorGuest[]) {}

  /** @returns all of them saved to disk. */
  static async startSaved(context: Context, service: BenchService, count: number): Promise<FloorGroup> {
    const first = await context.startFloor(service);
    await first.save();
    const guests = [first];
    for (let number = 1; number < count; number++) {
      const guest = new FloorGuest(service.config, service.template, { number });
      context.atEnd(() => guest.remove());
      await guest.startSaved(first);
      guests.push(guest);
    }
    return new FloorGroup(guests);
  }

  /** @returns seconds until the last is saved and synced. */
  save = async (): Promise<number> => Math.max(...(await Promise.all(this.guests.map((guest) => guest.save()))));
  /** @returns seconds until the last one's agent answers. */
  restore = async (): Promise<number> => Math.max(...(await Promise.all(this.guests.map((guest) => guest.restore()))));
}
