import type { Measurement } from './measurement.js';
import { lightUse } from './measurements/light-use.js';

/** All measurements, in the order of the results page. */
export const MEASUREMENTS: Measurement[] = [lightUse];
