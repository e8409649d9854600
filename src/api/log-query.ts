import { z } from 'zod';
import type { LogEntry } from '../gateway/wire.js';
import { once } from './schemas.js';

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
const MOST = 1_000;

const milliseconds = once.regex(/^\d{1,15}$/, 'expected milliseconds since 1970').transform(Number);
const limit = once
  .regex(/^\d{1,4}$/, `expected a number from 1 to ${MOST}`)
  .transform(Number)
  .pipe(z.number().min(1, 'expected at least 1').max(MOST, `expected at most ${MOST}`))
  .default(MOST);

export const logQueryV1 = z.object({ start: milliseconds.default(0), limit });

export const logQueryV2 = z.object({
  cursor: milliseconds.optional(),
  limit,
  direction: z.enum(['forward', 'backward'], 'expected forward or backward').default('forward'),
  level: z.enum(LEVELS, 'expected debug, info, warn or error').default('debug'),
  search: once.max(256, 'longer than 256 characters').default(''),
});

/**
 * One page of a log whose entries have a millisecond each. Forward: from the cursor on, oldest first; go on with the last
 * one's time + 1. Backward: before the cursor, newest first; go on with the last one's time.
 */
export function logPage(entries: readonly LogEntry[], query: z.output<typeof logQueryV2>): LogEntry[] {
  const { cursor, direction, search } = query;
  const least = LEVELS.indexOf(query.level);
  const matching = entries.filter(
    ({ at, level, message }) =>
      LEVELS.indexOf(level) >= least &&
      message.includes(search) &&
      (cursor === undefined || (direction === 'forward' ? at >= cursor : at < cursor)),
  );
  return (direction === 'forward' ? matching : matching.reverse()).slice(0, query.limit);
}
