import { z } from 'zod';
import { networkSchema, notOffered } from './network-schema.js';

/** Request bodies of the public contract (2.2). Fields not named here are ignored. */

const MOST_MAP_BYTES = 64 * 1024;

/** Whole seconds. Their maximum is the service's, so `routes` check it with `timeout.ts`. */
const seconds = z.number('expected a number of seconds').int('expected whole seconds');
const timeoutSeconds = seconds.min(1, 'expected at least 1 second');

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value);

/** As it was parsed, never a copy: one into a plain object, as `z.record` makes it, loses the key `__proto__`. */
const boundedMap = z
  .custom<Record<string, string>>(isObject, 'expected an object of strings')
  .superRefine((map, context) => {
    for (const [key, value] of Object.entries(map)) {
      if (typeof value === 'string') continue;
      context.addIssue({ code: 'custom', path: [key], message: 'expected a string', continue: false });
    }
  })
  .refine((map) => Buffer.byteLength(JSON.stringify(map)) <= MOST_MAP_BYTES, {
    error: `larger than ${MOST_MAP_BYTES / 1024} KiB`,
  });

const environment = boundedMap.refine(
  (map) => Object.entries(map).every(([name, value]) => /^[^=\0]+$/.test(name) && !value.includes('\0')),
  { error: 'a name is empty or has "=" in it, or there is a NUL character' },
);

/** False: only the disk outlives the pause, or is started from. */
const memory = z.boolean('expected true or false').nullish();

export const newSandbox = z
  .object({
    templateID: z.string('expected the name of a template').min(1).max(256),
    timeout: timeoutSeconds.nullish(),
    autoPause: z.boolean('expected true or false').nullish(),
    autoPauseMemory: memory,
    autoResume: z.object({ enabled: z.boolean('expected true or false') }, 'expected an object').nullish(),
    allow_internet_access: z.boolean('expected true or false').nullish(),
    metadata: boundedMap.nullish(),
    envVars: environment.nullish(),
    network: networkSchema.nullish(),
    mcp: notOffered('mcp'),
    iam: notOffered('iam'),
    volumeMounts: notOffered('volumeMounts'),
  })
  .refine((body) => body.autoPauseMemory !== false || body.autoResume?.enabled !== true, {
    path: ['autoPauseMemory'],
    error: 'false cannot go with autoResume: a sandbox that has to boot is not woken by traffic',
  });

export const pauseRequest = z.object({
  memory,
  requireHealthyGuest: z
    .boolean('expected true or false')
    .nullish()
    .refine((required) => required !== true, { error: 'a healthy guest cannot be required by this service yet' }),
});

export const connectRequestV1 = z.object({ timeout: timeoutSeconds });

export const connectRequestV2 = z.object({ timeout: timeoutSeconds.nullish(), memory });

export const resumeRequest = z.object({
  timeout: timeoutSeconds.nullish(),
  autoPause: z.boolean('expected true or false').nullish(),
});

export const rotateRequest = z.object({});

/** 0 acts at once. */
export const timeoutRequest = z.object({ timeout: seconds.min(0, 'expected no negative number') });

export const refreshRequest = z.object({ duration: seconds.min(0, 'expected no negative number').nullish() });

const MOST_PER_PAGE = 100;

/** A query parameter. */
export const once = z.string('given more than once');

/** Query parameter `limit` of everything that comes in pages. */
export const pageSize = once
  .regex(/^\d{1,3}$/, `expected a number from 1 to ${MOST_PER_PAGE}`)
  .transform(Number)
  .pipe(z.number().min(1, 'expected at least 1').max(MOST_PER_PAGE, `expected at most ${MOST_PER_PAGE}`))
  .default(MOST_PER_PAGE);

export const pageToken = once;

/** The header `Idempotency-Key` (contract 1.1). */
export const idempotency = z.object({
  key: z
    .string()
    .regex(/^[a-z0-9-]{1,255}$/, 'Idempotency-Key: expected 1 to 255 of a-z, 0-9 and "-"')
    .optional(),
});
