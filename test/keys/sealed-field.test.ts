import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openField, sealField } from '../../src/keys/sealed-field.js';

const key = Buffer.alloc(32, 3);

describe('a sealed field', () => {
  it('opens to what was sealed, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string(), fc.string(), (text, id, name) => {
        expect(openField(key, id, name, sealField(key, id, name, text))).toBe(text);
      }),
    );
  });

  it('is versioned text that differs every time and shows nothing of its content', () => {
    const sealed = sealField(key, 'a', 'env', '{"TOKEN":"hunter2hunter2"}');
    expect(sealed).toMatch(/^v1\.[A-Za-z0-9_-]+$/);
    expect(Buffer.from(sealed.slice(3), 'base64url').toString('latin1')).not.toContain('hunter2');
    expect(sealField(key, 'a', 'env', '{"TOKEN":"hunter2hunter2"}')).not.toBe(sealed);
  });

  it('does not open for another sandbox, another name, another key, nor when id and name are cut elsewhere', () => {
    const sealed = sealField(key, 'ab', 'env', 'x');
    const damaged = expect.objectContaining({ code: 'SealedFieldDamaged' }) as Error;
    expect(() => openField(key, 'ac', 'env', sealed)).toThrow(damaged);
    expect(() => openField(key, 'ab', 'envs', sealed)).toThrow(damaged);
    expect(() => openField(key, 'a', 'benv', sealed)).toThrow(damaged);
    expect(() => openField(Buffer.alloc(32, 4), 'ab', 'env', sealed)).toThrow(damaged);
  });

  it('is refused with any character changed, and the error names the field but no content', () => {
    const sealed = sealField(key, 'a', 'env', 'secret-content');
    for (let at = 0; at < sealed.length; at++) {
      const changed = sealed.slice(0, at) + (sealed[at] === 'A' ? 'B' : 'A') + sealed.slice(at + 1);
      expect(() => openField(key, 'a', 'env', changed)).toThrow(/sealed field "env" of sandbox "a"/);
    }
    for (const bad of ['', 'v1.', 'v2.AAAA', `${sealed} `, `${sealed}=`, sealed.slice(0, -4)]) {
      expect(() => openField(key, 'a', 'env', bad)).toThrow(/sealed field "env"/);
    }
  });
});
