import type { Measurement } from './measurement.js';
import { agentReturn } from './measurements/agent-return.js';
import { ahead } from './measurements/ahead.js';
import { coldBoot } from './measurements/cold-boot.js';
import { curve } from './measurements/curve.js';
import { frozen } from './measurements/frozen.js';
import { idle } from './measurements/idle.js';
import { lightUse } from './measurements/light-use.js';
import { list } from './measurements/list.js';
import { listDirectory } from './measurements/list-directory.js';
import { noisy } from './measurements/noisy.js';
import { parallel } from './measurements/parallel.js';
import { scale } from './measurements/scale.js';
import { sealing } from './measurements/sealing.js';
import { twoGib } from './measurements/two-gib.js';
import { warm } from './measurements/warm.js';
import { workflow } from './measurements/workflow.js';

/** All measurements, in the order of the results page. */
export const MEASUREMENTS: Measurement[] = [
  ...[lightUse, twoGib, ahead, frozen, sealing, warm, coldBoot, agentReturn],
  ...[listDirectory, workflow, list, scale, parallel, noisy, idle, curve],
];
