import { expect, test } from 'vitest';
import { newTemplateKey } from '../../src/template/inputs.js';
import { builtFrom, templateRecord } from '../../src/template/template.js';

const INPUTS = 'a'.repeat(32);

test('a template that is built again from the same is another one: what sleeps on the first does not wake on it', () => {
  const [first, second] = [newTemplateKey(INPUTS), newTemplateKey(INPUTS)];
  expect(first).not.toBe(second);
  for (const key of [first, second]) expect(templateRecord.shape.key.safeParse(key).success).toBe(true);
});

test('nothing is built while there is a template of the same inputs, also one of before keys were of builds', () => {
  const newer = { key: newTemplateKey(INPUTS), inputsHash: INPUTS };
  const of = { other: { key: 'b'.repeat(32) }, before: { key: INPUTS } };
  expect(builtFrom([of.other, newer, of.before], INPUTS)).toBe(newer);
  expect(builtFrom([of.other, of.before], INPUTS)).toBe(of.before);
  expect(builtFrom([of.other], INPUTS)).toBeUndefined();
});
