import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WorkflowEnvironment } from '../workflows/environment.js';
import { HISTORIES, historyToJson, type History } from './histories.js';
import { STORIES } from './stories.js';

/** `npm run histories`: plays every story on a real Temporal and keeps its histories as those of this release. */

const { version } = JSON.parse(await readFile(path.resolve(import.meta.dirname, '../../package.json'), 'utf8')) as {
  version: string;
};
const directory = path.join(HISTORIES, version);
await rm(directory, { recursive: true, force: true });
await mkdir(directory, { recursive: true });

/** What replay does not look at and nobody needs to know: names of process and machine, paths in stack traces. */
function leftOut(key: string, value: unknown): unknown {
  if (key === 'stackTrace') return '';
  return typeof value === 'string' && /^[0-9]+@/.test(value) ? 'recorder' : value;
}

/** One event a line, so that a difference between two recordings can be read. */
function written(history: History): string {
  const { events } = historyToJson(history) as { events: unknown[] };
  return `{"events":[\n${events.map((event) => JSON.stringify(event, leftOut)).join(',\n')}\n]}\n`;
}

/** Every run of a sandbox, oldest first. */
async function runsOf(environment: WorkflowEnvironment, id: string): Promise<History[]> {
  const runs: History[] = [];
  const { workflow } = environment.temporal.client;
  let runId: string | undefined = (await environment.handle(id).describe()).raw.workflowExecutionInfo?.firstRunId ?? '';
  while (runId !== undefined) {
    const history: History = await workflow.getHandle(`sandbox-${id}`, runId).fetchHistory();
    runs.push(history);
    runId = history.events?.at(-1)?.workflowExecutionContinuedAsNewEventAttributes?.newExecutionRunId ?? undefined;
  }
  return runs;
}

describe.each([...new Set(STORIES.map((story) => story.suggestContinueAsNewAt))])(
  'with continue-as-new suggested at %s',
  (suggestContinueAsNewAt) => {
    let environment: WorkflowEnvironment;
    beforeAll(async () => {
      environment = await WorkflowEnvironment.start(
        suggestContinueAsNewAt === undefined ? {} : { suggestContinueAsNewAt },
      );
    }, 120_000);
    afterAll(() => environment.stop());

    const stories = STORIES.filter((story) => story.suggestContinueAsNewAt === suggestContinueAsNewAt);
    test.each(stories)('$name', async ({ name, play }) => {
      const runs = await runsOf(environment, await play(environment));
      expect(runs.length).toBe(suggestContinueAsNewAt === undefined ? 1 : Math.max(2, runs.length));
      for (const [index, run] of runs.entries()) {
        const file = path.join(directory, `${name}${index === 0 ? '' : `-${index + 1}`}.json`);
        await writeFile(file, written(run));
      }
    });
  },
);
