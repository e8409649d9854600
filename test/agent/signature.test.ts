import { expect, test } from 'vitest';
import { sign, signatureRefusal } from '../../src/agent/signature.js';

const path = '/home/user/a.txt';
const reading = { path, operation: 'read', username: 'user', expiration: 1_795_447_316 } as const;
const writing = { path, operation: 'write', username: '' } as const;

test('signatures are those that clients make', () => {
  expect(sign(reading, 'tok-envd')).toBe('v1_ERoOL3cMK8Ho1a+Bxgt8jnmHYpnwb1lLHxJY+qWrVXA');
  expect(sign(writing, 'tok-envd')).toBe('v1_hJWoO15TGBv0x+PFfzdOejKBsP3D2bXZwSyCeFaUwQ8');
});

test('a signature opens what it was made for, until its end', () => {
  const refusal = (signature: string, now: number) => signatureRefusal(reading, signature, 'tok-envd', now);
  const good = sign(reading, 'tok-envd');
  expect(refusal(good, 1_795_447_316)).toBeUndefined();
  expect(refusal(good, 1_795_447_317)).toBe('signature is already expired');
  expect(refusal(sign(writing, 'tok-envd'), 0)).toBe('the signature is wrong');
  expect(refusal('', 0)).toBe('the signature is wrong');
});
