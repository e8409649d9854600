import { readFile } from 'node:fs/promises';

/** @returns a warning where swap is on: guests' memory is kept out of it, the memory of other processes is not. */
export function swapWarning(swaps: string): string | undefined {
  const areas = swaps
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(/\s+/)[0])
    .filter((area) => !area?.startsWith('/dev/zram'));
  if (areas.length === 0) return undefined;
  return (
    `warning: swap is on (${areas.join(', ')}). The master key in the memory of the host worker and of the api, and pages that QEMU ` +
    'copies, may be written to it in the clear. Turn swap off, or encrypt it.'
  );
}

export async function warnOfSwap(say: (line: string) => void): Promise<void> {
  const warning = swapWarning(await readFile('/proc/swaps', 'utf8'));
  if (warning !== undefined) say(warning);
}
