import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { bundleWorkflowCode, DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { describe, expect, test } from 'vitest';
import { recordedHistories } from './histories.js';
import { STORIES } from './stories.js';

Runtime.install({ logger: new DefaultLogger('ERROR') });

const root = path.resolve(import.meta.dirname, '../..');
const histories = await recordedHistories();

/** What replaying every recorded history with the workflow code of a directory came to: an error, or null, by story. */
async function replay(workflows: string): Promise<Map<string, string | null>> {
  const logger = new DefaultLogger('ERROR');
  const workflowBundle = await bundleWorkflowCode({
    workflowsPath: path.join(workflows, 'index.ts'),
    workflowInterceptorModules: [path.join(workflows, 'trace-headers.ts')],
    logger,
  });
  const outcomes = new Map<string, string | null>();
  for await (const { workflowId, error } of Worker.runReplayHistories({ workflowBundle }, histories)) {
    outcomes.set(workflowId, error === undefined ? null : error.message);
  }
  return outcomes;
}

/** Replays with one place of the workflow code changed. */
async function replayChanged(file: string, from: RegExp, to: string): Promise<Map<string, string | null>> {
  // Inside the checkout, so that the copy finds the same packages.
  await mkdir(path.join(root, 'dist'), { recursive: true });
  const copy = await mkdtemp(path.join(root, 'dist/changed-workflows-'));
  try {
    await cp(path.join(root, 'workflows'), copy, { recursive: true });
    const source = await readFile(path.join(copy, file), 'utf8');
    expect(source, `${file} no longer has what this control changes`).toMatch(from);
    await writeFile(path.join(copy, file), source.replace(from, to));
    return await replay(copy);
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

/** Stories with this in their history that a change of the code did not break. */
const unnoticed = (outcomes: Map<string, string | null>, touched: string): string[] =>
  histories
    .filter(({ history }) => JSON.stringify(history).includes(touched))
    .map(({ workflowId }) => workflowId)
    .filter((id) => !/nondeterminism/i.test(outcomes.get(id) ?? ''));

test('there is a recorded history of every story', () => {
  const recorded = histories.map(({ workflowId }) => path.basename(workflowId));
  expect(recorded).toEqual(expect.arrayContaining(STORIES.map((story) => story.name)));
});

test('recorded histories tell nothing of the machine they were recorded on', () => {
  const telling = histories.filter(({ history }) => /node_modules|file:\/\/|"[0-9]+@/.test(JSON.stringify(history)));
  expect(telling.map(({ workflowId }) => workflowId)).toEqual([]);
});

describe('the current workflow code', async () => {
  const outcomes = await replay(path.join(root, 'workflows'));
  test.each(histories)('replays $workflowId', ({ workflowId }) => {
    expect(outcomes.has(workflowId)).toBe(true);
    expect(outcomes.get(workflowId)).toBeNull();
  });
});

describe('replay catches', () => {
  test('an activity that is no longer scheduled', async () => {
    const outcomes = await replayChanged('perform.ts', /await activities\.destroyVm\([^)]*\);/, '');
    expect(unnoticed(outcomes, 'destroyVm')).toEqual([]);
  });

  test('two commands in another order', async () => {
    const outcomes = await replayChanged(
      'sandbox.ts',
      /await perform\(state, step\);\s*show\(state\);/,
      'show(state);\nawait perform(state, step);',
    );
    expect(unnoticed(outcomes, 'EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES')).toEqual([]);
  });
});
