import { expect, test } from 'vitest';
import { clientOf, SearchLimits } from '../../src/proxy/search-limits.js';

test('searches together take a fifth of the time, on a slow machine, too, and whoever asks', async () => {
  let clock = 0;
  const limits = new SearchLimits(() => clock);
  const slow = (): string => {
    clock += 100;
    return 'found';
  };
  const all = await Promise.all(Array.from({ length: 60 }, (_, i) => limits.run(`192.0.2.${i}`, slow)));
  expect(all.filter((one) => 'id' in one).length).toBeLessThanOrEqual(20);
  const refused = all.filter((one) => 'waitSeconds' in one);
  expect(refused.length).toBeGreaterThanOrEqual(40);
  for (const { waitSeconds } of refused) expect(waitSeconds).toBeGreaterThan(0);
});

test('clients that have shown wrong ones leave a part of the time to all others', async () => {
  let clock = 0;
  const limits = new SearchLimits(() => clock);
  const wrong = (): undefined => {
    clock += 50;
    return undefined;
  };
  for (let i = 0; i < 10; i += 1) {
    await Promise.all(Array.from({ length: 10 }, () => limits.run(`192.0.2.${i}`, wrong)));
    if ('waitSeconds' in (await limits.run(`192.0.2.${i}`, wrong))) break;
  }
  expect(await limits.run('192.0.2.0', () => 'found')).toHaveProperty('waitSeconds');
  expect(await limits.run('192.0.2.200', () => 'found')).toEqual({ id: 'found' });
});

test.each([
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8::6', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
])('%s counts as %s', (address, client) => {
  expect(clientOf(address)).toBe(client);
});
