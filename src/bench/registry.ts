import type { Measurement } from './measurement.js';
import { frozen } from './measurements/frozen.js';
import { lightUse } from './measurements/light-use.js';
import { sealing } from './measurements/sealing.js';
import { twoGib } from './measurements/two-gib.js';
import { warm } from './measurements/warm.js';

/** All measurements, in the order of the results page. */
export const MEASUREMENTS: Measurement[] = [lightUse, twoGib, frozen, sealing, warm];
