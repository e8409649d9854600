import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  accessToken,
  newTokenNonce,
  sandboxIdOfToken,
  trafficToken,
  verifyAccessToken,
  verifyTrafficToken,
} from '../../src/keys/access-token.js';

const key = Buffer.alloc(32, 9);
const id = 'i1a2b3c4d5e6f7g8h9j0k';

describe('a token', () => {
  it('is the id, a dot and an HMAC, and is always the same', () => {
    const mac = createHmac('sha256', key).update(`dormouse/v1/token/access/${id}`).digest('base64url');
    expect(accessToken(key, { id })).toBe(`${id}.${mac}`);
  });

  it('tells its sandbox without any key', () => {
    expect(sandboxIdOfToken(accessToken(key, { id }))).toBe(id);
    expect(sandboxIdOfToken(trafficToken(key, { id }))).toBe(id);
    for (const bad of ['', '.', 'abc', '.abc', 'a b.c', '../x.y', `${'a'.repeat(65)}.x`]) {
      expect(sandboxIdOfToken(bad)).toBeUndefined();
    }
  });

  it('opens its own sandbox for its own purpose under its own key, and nothing else', () => {
    const access = accessToken(key, { id });
    const traffic = trafficToken(key, { id });
    expect(verifyAccessToken(key, { id }, access)).toBe(true);
    expect(verifyTrafficToken(key, { id }, traffic)).toBe(true);
    expect(verifyAccessToken(key, { id }, traffic)).toBe(false);
    expect(verifyTrafficToken(key, { id }, access)).toBe(false);
    expect(verifyAccessToken(key, { id: 'other' }, access)).toBe(false);
    expect(verifyAccessToken(key, { id: 'other' }, `other.${access.split('.')[1]}`)).toBe(false);
    expect(verifyAccessToken(Buffer.alloc(32, 8), { id }, access)).toBe(false);
    for (const bad of ['', id, `${id}.`, access.slice(0, -1), `${access}=`, `${access}A`, ` ${access}`]) {
      expect(verifyAccessToken(key, { id }, bad)).toBe(false);
    }
  });

  it('of a sandbox with a nonce is another one for each nonce, and none is that of one without', () => {
    const nonces = [undefined, newTokenNonce(), newTokenNonce()];
    const owners = nonces.map((tokenNonce) => ({ id, tokenNonce }));
    for (const owner of owners) {
      const mine = accessToken(key, owner);
      expect(owners.filter((one) => verifyAccessToken(key, one, mine))).toEqual([owner]);
      const traffic = trafficToken(key, owner);
      expect(owners.filter((one) => verifyTrafficToken(key, one, traffic))).toEqual([owner]);
      expect(sandboxIdOfToken(mine)).toBe(id);
    }
    expect(() => accessToken(key, { id, tokenNonce: '../x' })).toThrow(/nonce/);
  });

  it('is never made for what cannot be an id or under what cannot be a key', () => {
    for (const bad of ['', 'a.b', 'a/b', 'a\n', 'a'.repeat(65)])
      expect(() => accessToken(key, { id: bad })).toThrow(/sandbox id/);
    expect(() => accessToken(Buffer.alloc(0), { id })).toThrow(/32 bytes/);
  });
});
