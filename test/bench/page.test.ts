import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { XMLValidator } from 'fast-xml-parser';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Measurement } from '../../src/bench/measurement.js';
import { resultsPage, writePage } from '../../src/bench/page.js';
import { ratio, row } from '../../src/bench/statistics.js';
import { newestResults, storeResult, type StoredResult } from '../../src/bench/stored-result.js';

const machine = {
  ...{ cpu: 'a processor', cores: 2, memoryGiB: 24, accelerator: 'tcg', qemu: '10.0', libvirt: 'libvirtd 11.3' },
  ...{ node: 'v20', kernel: '6.1' },
};
const measurement = (name: string): Measurement => ({
  ...{ name, about: `What ${name} does.`, rows: ['a row'], run: () => Promise.reject(new Error('not run here')) },
});
const result = (at: string, seconds: number): StoredResult => ({
  ...{ measurement: 'light-use', at, commit: 'abc1234', machine },
  rows: [
    ratio('pause', { goal: '<= 1.0 x floor', limit: 1, must: true }, [seconds], [2]),
    row('plain save', undefined, 's', [2]),
  ],
  plots: [
    {
      name: 'curve',
      title: 'Size < time',
      x: 'GiB',
      y: 's',
      lines: [
        {
          name: 'pause',
          points: [
            [1, 2],
            [4, 8],
          ],
        },
      ],
    },
  ],
  traces: [{ operation: 'pause', seconds: 0.5, spans: [] }],
  notes: ['A note.'],
});
const measurements = [measurement('light-use'), measurement('list')];
let directory: string;

beforeEach(async () => void (directory = await mkdtemp(path.join(tmpdir(), 'dormouse-bench-'))));
afterEach(() => rm(directory, { recursive: true }));

test('the page says goal, value, figure and verdict of each row, of which commit and when, and what is missing', () => {
  const page = resultsPage([result('2026-01-02T03:04:05.678Z', 3)], measurements);
  expect(page).toContain('| * pause | <= 1.0 x floor | 1.50 x | 1.50 to 1.50 | 1 | 3.00 s beside 2.00 s | **no** |');
  expect(page).toContain('Commit abc1234, 2026-01-02 03:04 UTC; 2 cores (a processor)');
  expect(page).toContain('Not measured yet: `list` (a row).');
  expect(page).toContain('pause: 500 ms at the client');
  expect(page).toContain('![Size < time](plots/curve.svg)');
});

test('the table at the top has the rows with a goal only', () => {
  const [top, section] = resultsPage([result('2026-01-02T03:04:05.678Z', 3)], measurements).split('## light-use');
  expect(top).not.toContain('plain save |');
  expect(section).toContain('plain save |');
});

test('of several results of a measurement the newest one counts', async () => {
  await storeResult(directory, result('2026-01-02T03:04:05.678Z', 3));
  await storeResult(directory, result('2026-01-10T03:04:05.678Z', 1));
  await storeResult(directory, result('2026-01-09T03:04:05.678Z', 2));
  const found = await newestResults(directory, ['list', 'light-use']);
  expect(found).toEqual([result('2026-01-10T03:04:05.678Z', 1)]);
});

test('a measurement that was not run again keeps its section and its rows of the page from before', () => {
  const list = { ...result('2026-01-02T03:04:05.678Z', 1), measurement: 'list', commit: 'older12' };
  const before = resultsPage([list], measurements);
  const page = resultsPage([result('2026-02-02T03:04:05.678Z', 3)], measurements, before);
  const [top] = page.split('## light-use');
  expect(top).toContain('| * pause | <= 1.0 x floor | 1.50 x |');
  expect(top).toContain('| * pause | <= 1.0 x floor | 0.50 x |');
  expect(top).not.toContain('plain save |');
  expect(top).not.toContain('Not measured yet');
  expect(page.split('## list')[1]).toBe(before.split('## list')[1]);
  expect(resultsPage([], measurements, page)).toBe(page);
});

test('page and plots are written, and a plot is well-formed SVG with a point for each value', async () => {
  await writePage(directory, [result('2026-01-02T03:04:05.678Z', 3)], measurements);
  expect(await readFile(path.join(directory, 'results.md'), 'utf8')).toContain('# Results');
  const svg = await readFile(path.join(directory, 'plots/curve.svg'), 'utf8');
  expect(XMLValidator.validate(svg)).toBe(true);
  expect(svg.match(/<circle/g)).toHaveLength(2);
});
