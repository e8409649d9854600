import { expect, test } from 'vitest';
import { isMacOf, macOf, type Authenticated } from '../../src/keys/manifest-mac.js';

const key = Buffer.alloc(32, 1);
const mine: Authenticated = { kind: 'manifest', id: 'a' };

test('the code of a record is good for that record, purpose, sandbox and key alone', () => {
  const mac = macOf(key, mine, 'text');
  expect(isMacOf(key, mine, 'text', mac)).toBe(true);
  expect(isMacOf(key, mine, 'text.', mac)).toBe(false);
  expect(isMacOf(key, { kind: 'manifest', id: 'b' }, 'text', mac)).toBe(false);
  expect(isMacOf(key, { kind: 'manifests-are-signed' }, 'text', mac)).toBe(false);
  expect(isMacOf(Buffer.alloc(32, 2), mine, 'text', mac)).toBe(false);
  for (const other of ['', mac.slice(1), `${mac}0`]) expect(isMacOf(key, mine, 'text', other)).toBe(false);
});
