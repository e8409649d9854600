import { expect, test } from 'vitest';
import { TenantConnections } from '../../src/tenants/connections.js';

test('strangers leave a quarter to the owner, who may have all', () => {
  const connections = new TenantConnections(() => 8);
  const entered = (whose: 'owner' | 'stranger', times: number): boolean[] =>
    Array.from({ length: times }, () => connections.enter('a', whose));
  expect(entered('stranger', 7)).toEqual([true, true, true, true, true, true, false]);
  expect(entered('owner', 3)).toEqual([true, true, false]);
  connections.leave('a', 'stranger');
  expect(entered('owner', 2)).toEqual([true, false]);
});

test('tenants have their own, and what is closed is not counted', () => {
  const connections = new TenantConnections(() => 1);
  expect([connections.enter('a', 'owner'), connections.enter('b', 'owner')]).toEqual([true, true]);
  connections.leave('a', 'owner');
  expect([connections.countOf('a'), connections.countOf('b')]).toEqual([0, 1]);
});

test('without a limit what is open is counted, for when there is one', () => {
  let limit: number | null = null;
  const connections = new TenantConnections(() => limit);
  expect(connections.enter('a', 'owner')).toBe(true);
  limit = 1;
  expect(connections.enter('a', 'owner')).toBe(false);
});
