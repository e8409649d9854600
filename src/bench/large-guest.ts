import type { BenchService } from './bench-service.js';
import { Filler } from './filler.js';
import type { FloorGuest } from './floor.js';
import type { Context } from './measurement.js';

/** Guests that hold 2 GiB need room for themselves besides; the template of each size is built once, and kept. */
export const LARGE_GUEST_MIB = 3_072;
export const LARGE_USE_MIB = 2_048;

/** A service whose guests have so much memory, and an equal guest on plain libvirt with a process that holds some of it. */
export async function besideFloor(
  context: Context,
  memoryMiB: number,
): Promise<{ service: BenchService; floor: FloorGuest; held: Filler }> {
  const service = await context.startService({ memoryMiB });
  const floor = await context.startFloor(service);
  return { service, floor, held: await Filler.start(floor.door) };
}
