import { setTimeout as delay } from 'node:timers/promises';
import type { VmDriver } from '../libvirt/driver.js';

const LOOK_EVERY_MS = 1_000;
const QUIET_LOOKS = 3;
const GIVE_UP_AFTER_MS = 90_000;
/** Of one CPU. An idle guest takes one or two hundredths under emulation. */
const QUIET = 0.1;

/**
 * Waits until a booted guest has nothing left to do: what its boot still does at the moment of capture, every sandbox
 * would do again in the second in which somebody waits for it. A guest that never rests is captured all the same.
 */
export async function settle(driver: Pick<VmDriver, 'cpuSeconds'>, name: string): Promise<void> {
  const giveUpAt = performance.now() + GIVE_UP_AFTER_MS;
  let quiet = 0;
  let before = { at: performance.now(), used: await driver.cpuSeconds(name) };
  while (quiet < QUIET_LOOKS && performance.now() < giveUpAt) {
    await delay(LOOK_EVERY_MS);
    const now = { at: performance.now(), used: await driver.cpuSeconds(name) };
    quiet = (now.used - before.used) / ((now.at - before.at) / 1000) < QUIET ? quiet + 1 : 0;
    before = now;
  }
}
