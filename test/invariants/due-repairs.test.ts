import { expect, test } from 'vitest';
import { dueRepairs, stillUnknown } from '../../src/invariants/due-repairs.js';
import { findViolations } from '../../src/invariants/find-violations.js';
import type { Observation, WorkflowFact } from '../../src/invariants/observation.js';

const MINUTE = 60_000;
const NOW = 1e9;

/** A paused sandbox `b`, last changed `ageMs` ago, with memory that it should not have. */
const world = (run: WorkflowFact['run'], ageMs: number): Observation => ({
  ...{
    at: NOW,
    domains: [],
    processes: [],
    pool: [],
    misplaced: [],
    top: [],
    secrets: [],
    claims: [],
    deniedSlots: [],
  },
  workflows: [{ id: 'b', run }],
  sandboxes: [
    {
      ...{ id: 'b', name: 'b', changedAt: NOW - ageMs, files: ['manifest.json', 'key.wrapped', 'overlay.qcow2'] },
      manifest: { generation: 2, phase: 'saved', slot: null, allowInternetAccess: true },
    },
  ],
  memory: [{ id: 'b', name: 'b', changedAt: NOW - ageMs, files: ['ram'], completeSave: false }],
});
const due = (seen: Observation, unknownSince = new Map<string, number>()): string[] =>
  dueRepairs(findViolations(seen), seen, { unknownSince, minAgeMs: MINUTE }).map(({ repair }) => repair.kind);

test('what is left of an ended sandbox is destroyed once it is older than anything being made', () => {
  expect(due(world('ended', MINUTE - 1))).toEqual([]);
  expect(due(world('ended', MINUTE))).toEqual(['destroy']);
});

test('a sandbox whose workflow is open is never destroyed; what it does not need while it sleeps is given back', () => {
  expect(due(world('open', 10 * MINUTE))).toEqual(['clear-workspace']);
});

test('a manifest in an in-between phase is left to its workflow', () => {
  for (const phase of ['creating', 'saving', 'restoring', 'running', 'lost']) {
    const seen = world('open', 100 * MINUTE);
    seen.sandboxes[0]!.manifest!.phase = phase;
    expect(due(seen), phase).toEqual([]);
  }
});

test('a workflow that Temporal does not know must stay unknown for ten minutes before its sandbox is destroyed', () => {
  const seen = world('unknown', 100 * MINUTE);
  expect(due(seen)).toEqual([]);
  const first = stillUnknown(seen, new Map());
  expect([...first]).toEqual([['b', NOW]]);
  expect(due({ ...seen, at: NOW + 9 * MINUTE }, first)).toEqual([]);
  expect(due({ ...seen, at: NOW + 10 * MINUTE }, first)).toEqual(['destroy']);
  const found = stillUnknown({ ...seen, at: NOW + MINUTE, workflows: [{ id: 'b', run: 'open' }] }, first);
  expect([...found]).toEqual([]);
});

test('half-made overlays and the memory of template builds are left alone for an hour', () => {
  const seen = world('open', 0);
  seen.pool.push({ name: 'claimed-1', changedAt: NOW });
  seen.misplaced.push({ name: 'template-a', changedAt: NOW, where: 'memory' });
  expect(due({ ...seen, at: NOW + 59 * MINUTE })).toEqual(['clear-workspace']);
  expect(due({ ...seen, at: NOW + 60 * MINUTE })).toEqual(['clear-workspace', 'remove-pool-entry', 'remove-memory']);
});
