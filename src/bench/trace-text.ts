import type { SpanLine } from '../tracing/span-file.js';
import { shown } from './statistics.js';
import type { Trace } from './measurement.js';

interface SpanNode extends SpanLine {
  children: SpanNode[];
}

/** An operation's steps as an indented list: when each began and how long it took, in ms. */
export function traceText({ operation, seconds, spans }: Trace): string {
  const roots = spanTree(spans);
  const zero = Math.min(...spans.map((span) => span.startUs));
  const lines = (node: SpanNode, depth: number): string[] => [
    `${ms(node.startUs - zero)} ${ms(node.durationUs)}  ${'  '.repeat(depth)}${node.name} [${node.role}]`,
    ...node.children.flatMap((child) => lines(child, depth + 1)),
  ];
  const head = `${operation}: ${shown(seconds * 1000)} ms at the client`;
  return [head, `${'at'.padStart(8)} ${'took'.padStart(8)}  step`, ...roots.flatMap((root) => lines(root, 0))].join(
    '\n',
  );
}

/** Spans below their parents, in the order of their beginnings; one whose parent is not there is a root. */
export function spanTree(spans: SpanLine[]): SpanNode[] {
  const nodes = new Map(spans.map((span): [string, SpanNode] => [span.span, { ...span, children: [] }]));
  const roots: SpanNode[] = [];
  for (const node of [...nodes.values()].sort((a, b) => a.startUs - b.startUs)) {
    const parent = node.parent === undefined ? undefined : nodes.get(node.parent);
    (parent?.children ?? roots).push(node);
  }
  return roots;
}

const ms = (us: number): string => (us / 1000).toFixed(1).padStart(8);
