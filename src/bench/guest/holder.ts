/**
 * Holds seeded memory (MiB and seed are its arguments) without any socket, for systems that cannot save one: writes
 * `held <checksum>`, then a line every 10 ms; on SIGUSR1 the checksum of what it holds by then.
 */
import { SeededMemory } from './seeded-memory.js';

const TICK_MS = 10;

const memory = new SeededMemory();
const [mib, seed] = process.argv.slice(2).map(Number);
const say = (line: string): void => void process.stdout.write(`${line}\n`);
say(`held ${memory.fill(mib ?? 1, seed ?? 0)}`);
process.on('SIGUSR1', () => say(`holds ${memory.checksum()}`));
let count = 0;
setInterval(() => say(`tick ${count++}`), TICK_MS);
