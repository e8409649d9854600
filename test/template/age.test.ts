import { expect, test } from 'vitest';
import { isTooOld, unlessTooOld } from '../../src/template/age.js';
import { readConfig } from '../../src/config.js';

const DAY_MS = 24 * 3_600_000;
const NOW = 1_000 * DAY_MS;
const aged = (days: number) => ({ key: 'cafe0123', createdAt: NOW - days * DAY_MS });
const NEW = { key: 'cafe4567', createdAt: NOW };

async function chosen(days: number | undefined, maxAgeMs: number | undefined, build: () => Promise<typeof NEW>) {
  const said: string[] = [];
  const options = { now: NOW, maxAgeMs, say: (line: string) => void said.push(line) };
  const { key } = await unlessTooOld(days === undefined ? undefined : aged(days), options, build);
  return { key, said: said.join('\n') };
}
const builds = () => Promise.resolve(NEW);
const fails = () => Promise.reject(new Error('Command failed: mmdebstrap\n\nE: cannot reach the mirror'));

test('a template is too old when its age is more than the longest one, and never where there is none', () => {
  expect(isTooOld(aged(29.9), NOW, 30 * DAY_MS)).toBe(false);
  expect(isTooOld(aged(30.1), NOW, 30 * DAY_MS)).toBe(true);
  expect(isTooOld(aged(3000), NOW, undefined)).toBe(false);
  // The clock was set back since.
  expect(isTooOld(aged(-5), NOW, 30 * DAY_MS)).toBe(false);
});

test('a template that is too old is built anew, a younger one is used without a word', async () => {
  expect(await chosen(40, 30 * DAY_MS, builds)).toEqual({ key: NEW.key, said: expect.stringContaining('40 days old') });
  expect(await chosen(20, 30 * DAY_MS, fails)).toEqual({ key: 'cafe0123', said: '' });
  expect(await chosen(40, undefined, fails)).toEqual({ key: 'cafe0123', said: '' });
  expect(await chosen(undefined, 30 * DAY_MS, builds)).toEqual({ key: NEW.key, said: '' });
});

test('where the build fails the old one is kept, with a warning that names its age and the reason', async () => {
  const { key, said } = await chosen(40, 30 * DAY_MS, fails);
  expect(key).toBe('cafe0123');
  expect(said).toMatch(/WARNING: template cafe0123 .* 40 days old; .*E: cannot reach the mirror$/);
});

test('without any template a build that fails is an error', async () => {
  await expect(chosen(undefined, 30 * DAY_MS, fails)).rejects.toThrow('cannot reach the mirror');
});

test('the longest age is 30 days unless the configuration says another one, or none', () => {
  const maxAge = (given: Record<string, string>) => readConfig(given).templateMaxAgeMs;
  expect(maxAge({})).toBe(30 * DAY_MS);
  expect(maxAge({ DORMOUSE_TEMPLATE_MAX_AGE: '7 days' })).toBe(7 * DAY_MS);
  expect(maxAge({ DORMOUSE_TEMPLATE_MAX_AGE: 'off' })).toBeUndefined();
});

test('sealing ahead is off when the configuration says so', () => {
  expect(readConfig({}).sealAheadMs).toBe(30_000);
  expect(readConfig({ DORMOUSE_SEAL_AHEAD: 'off' }).sealAheadMs).toBeUndefined();
});
