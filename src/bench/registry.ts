import type { Measurement } from './measurement.js';
import { lightUse } from './measurements/light-use.js';
import { list } from './measurements/list.js';
import { scale } from './measurements/scale.js';
import { workflow } from './measurements/workflow.js';

/** All measurements, in the order of the results page. */
export const MEASUREMENTS: Measurement[] = [lightUse, workflow, list, scale];
