import type { Template } from './template.js';

const DAY_MS = 24 * 3_600_000;

type Aged = Pick<Template, 'key' | 'createdAt'>;

export const isTooOld = ({ createdAt }: Aged, now: number, maxAgeMs: number | undefined): boolean =>
  maxAgeMs !== undefined && now - createdAt > maxAgeMs;

/**
 * The template that is there unless it is too old, else what `build` makes. A template that is too old is better than
 * none: it is kept where the build fails, and whoever starts the service is told.
 */
export async function unlessTooOld<T extends Aged>(
  found: T | undefined,
  { now, maxAgeMs, say }: { now: number; maxAgeMs: number | undefined; say: (line: string) => void },
  build: () => Promise<T>,
): Promise<T> {
  if (found === undefined) return build();
  if (!isTooOld(found, now, maxAgeMs)) return found;
  const age = days(now - found.createdAt);
  say(
    `template ${found.key} is ${age} old, more than DORMOUSE_TEMPLATE_MAX_AGE (${days(maxAgeMs!)}): building it anew`,
  );
  try {
    return await build();
  } catch (error) {
    say(
      `WARNING: template ${found.key} could not be built anew and is used although it is ${age} old; ` +
        `new sandboxes lack the security updates since then. The reason: ${reason(error)}`,
    );
    return found;
  }
}

const days = (ms: number): string => {
  const count = Math.round((ms / DAY_MS) * 10) / 10;
  return count === 1 ? '1 day' : `${count} days`;
};

/** Of a tool that failed, the last thing that it said. */
const reason = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).trim().split('\n').at(-1) ?? '';
