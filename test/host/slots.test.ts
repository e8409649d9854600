import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { freeSlot, slotAddress } from '../../src/host/slots.js';

describe('a slot', () => {
  test('has an address of its own inside 127.64.0.0/10', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: (1 << 22) - 3 }), (slot) => {
        const [a, b] = slotAddress(slot).split('.').map(Number);
        expect(a).toBe(127);
        expect(b! & 0xc0).toBe(64);
        expect(slotAddress(slot)).not.toBe(slotAddress(slot + 1));
      }),
    );
    expect(slotAddress(0)).toBe('127.64.0.1');
    expect(slotAddress(255)).toBe('127.64.1.0');
  });

  test('is the first free one after the last, all around, or none when all are taken', () => {
    expect(freeSlot(new Set([0, 1, 3]), 4, 3)).toBe(2);
    expect(freeSlot(new Set([2]), 4, 2)).toBe(3);
    expect(freeSlot(new Set([2, 3]), 4, 4)).toBe(0);
    expect(freeSlot(new Set(), 4)).toBe(0);
    expect(freeSlot(new Set([0, 1, 3]), 4)).toBe(2);
    expect(freeSlot(new Set([0, 1, 2, 3]), 4)).toBeUndefined();
  });
});
