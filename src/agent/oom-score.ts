import { readFileSync, writeFileSync } from 'node:fs';

const FILE = '/proc/self/oom_score_adj';

/** The agent is protected from the kernel's search for memory, what it starts must not be: a fork inherits the score. */
export function withNormalOomScore<T>(fork: () => T): T {
  const own = readFileSync(FILE, 'utf8').trim();
  if (Number(own) >= 0) return fork();
  writeFileSync(FILE, '0');
  try {
    return fork();
  } finally {
    writeFileSync(FILE, own);
  }
}
