import { z } from 'zod';
import type { LogEntry } from '../gateway/wire.js';

/** As many as an agent keeps; a guest that sends more is not listened to beyond that. */
const MOST_EVENTS = 1_000;

const event = z.object({
  at: z.number(),
  event: z.enum(['started', 'ended']),
  pid: z.number().int().min(1).max(4_194_304),
  user: z.string().regex(/^[a-z_][a-z0-9_-]{0,31}$/),
  exitCode: z.number().int().min(-1).max(255).optional(),
});

/** Of all programs of the guest together. */
const shortage = z.object({
  at: z.number(),
  event: z.enum(['out-of-memory', 'too-many-threads']),
  count: z.number().int().min(1).max(1e9),
});

const SAID = {
  'out-of-memory': 'memory ran out: the kernel ended programs',
  'too-many-threads': 'too many threads: the kernel refused to start more',
};

const answer = z.object({ events: z.array(z.unknown()), dropped: z.number().int().min(0).max(1e9).default(0) });

/**
 * What the agent said of its processes, as log entries: pid, user and exit code, never a command or its output. The guest
 * is hostile: what has another form is left out, and no entry is later than now.
 */
export function processEntries(text: unknown, now: number): LogEntry[] {
  const parsed = answer.safeParse(text);
  if (!parsed.success) return [];
  const entries = parsed.data.events.slice(-MOST_EVENTS).flatMap((item): LogEntry[] => {
    const short = shortage.safeParse(item);
    if (short.success) return [shortageEntry(short.data, now)];
    const known = event.safeParse(item);
    if (!known.success) return [];
    const { at, event: what, pid, user, exitCode } = known.data;
    return [
      {
        at: notLater(at, now),
        level: 'info',
        message: `process ${what}`,
        fields: {
          source: 'agent',
          event: `process-${what}`,
          pid: String(pid),
          user,
          ...(what === 'ended' && exitCode !== undefined ? { exitCode: String(exitCode) } : {}),
        },
      },
    ];
  });
  if (parsed.data.dropped === 0) return entries;
  const fields = { source: 'agent', event: 'dropped', count: String(parsed.data.dropped) };
  return [{ at: now, level: 'warn', message: 'process events were dropped', fields }, ...entries];
}

const shortageEntry = ({ at, event: what, count }: z.infer<typeof shortage>, now: number): LogEntry => ({
  at: notLater(at, now),
  level: 'warn',
  message: SAID[what],
  fields: { source: 'agent', event: what, count: String(count) },
});

const notLater = (at: number, now: number): number => Math.max(0, Math.min(now, Math.floor(at)));
