import { expect, test } from 'vitest';
import { spanTree, traceText } from '../../src/bench/trace-text.js';
import type { SpanLine } from '../../src/tracing/span-file.js';

const span = (id: string, parent: string | undefined, startUs: number, durationUs: number): SpanLine => ({
  ...{ trace: 't', span: id, parent, role: 'host', name: `step ${id}`, startUs, durationUs, attributes: {} },
});

/** In the order in which they end, as a trace file has them; the root's parent is the client's own span. */
const spans = [
  span('c', 'b', 1_003_000, 1_000),
  span('b', 'a', 1_001_000, 4_000),
  span('d', 'a', 1_006_000, 500),
  span('a', 'client', 1_000_000, 9_000),
];

test('spans stand below their parents, in the order of their beginnings', () => {
  const [root, ...others] = spanTree(spans);
  expect(others).toEqual([]);
  expect(root?.children.map(({ span: id }) => id)).toEqual(['b', 'd']);
  expect(root?.children[0]?.children.map(({ span: id }) => id)).toEqual(['c']);
});

test('a trace is printed as an indented list of steps, with when each began and how long it took', () => {
  expect(traceText({ operation: 'pause', seconds: 0.0105, spans }).split('\n')).toEqual([
    'pause: 10.5 ms at the client',
    '      at     took  step',
    '     0.0      9.0  step a [host]',
    '     1.0      4.0    step b [host]',
    '     3.0      1.0      step c [host]',
    '     6.0      0.5    step d [host]',
  ]);
});
