import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';

const root = path.resolve(import.meta.dirname, '../..');
const document = await readFile(path.join(root, 'docs/clients.md'), 'utf8');
const matrix = await readFile(path.join(root, 'test/e2e/clients.test.ts'), 'utf8');
const parts = [.../const PARTS = \[([\s\S]*?)\];/.exec(matrix)![1]!.matchAll(/(['"])(.*?)\1,/g)].map(
  (found) => found[2]!,
);
const rows = document
  .split('\n')
  .filter((line) => line.startsWith('|') && line.split('|').length === 9)
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .filter(([, method]) => method !== 'method' && !/^-+$/.test(method!));

test('every test that the table of the clients names is there', () => {
  const named = [...document.matchAll(/`(test\/[^`]+)`/g)].flatMap((found) => eachOf(found[1]!));
  expect(named.length).toBeGreaterThan(10);
  for (const file of named) expect([file, existsSync(path.join(root, file))]).toEqual([file, true]);
});

test('every part of the story stands in the table, and every sentence of the table is a part of the story', () => {
  const told = rows.flatMap((cells) => sentences(cells[7]!));
  expect(new Set(told)).toEqual(new Set(parts));
});

/** The names that a shell makes of `a{b,c}d`. */
function eachOf(name: string): string[] {
  const [, before, choices, after] = /^(.*)\{(.*)\}(.*)$/.exec(name) ?? [];
  return choices === undefined ? [name] : choices.split(',').map((choice) => `${before}${choice}${after}`);
}

/** What is no file and no remark. */
function sentences(cell: string): string[] {
  const known = parts.filter((part) => cell.includes(part));
  let rest = cell.replace(/`test\/[^`]+`/g, '').replace(/npm also `\w+`|no test of its own/, '');
  for (const part of known.sort((one, other) => other.length - one.length)) rest = rest.replace(part, '');
  return [...known, ...(/\w/.test(rest) ? [rest] : [])];
}

test('what works is tested, what is not there is not said to be', () => {
  for (const cells of rows) {
    const [, method, , , , , works, tests] = cells;
    if (works === 'yes') expect([method, tests]).not.toEqual([method, '']);
    if (works!.startsWith('not there')) expect([method, tests]).toEqual([method, '']);
  }
});
