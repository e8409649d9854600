import path from 'node:path';
import { build } from 'esbuild';
import pLimit from 'p-limit';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { pythonWith, settings, type SettingsOf } from './python-client.js';
import { Story } from './story.js';

/** Each client tells the same story, in an environment of its own from the registries, with its own settings only. */
interface PublishedClient {
  settings: SettingsOf;
  program: () => Promise<[command: string, ...args: string[]]>;
  /** Parts of the story for which this client has no method, or which another client of the same code tells. */
  without: string[];
}

const stories = path.join(import.meta.dirname, 'clients');

const python = (requirement: string, story: string) => async (): Promise<[string, string]> => [
  await pythonWith(requirement),
  path.join(stories, story),
];

async function node(): Promise<[string, string, string]> {
  const outfile = path.resolve(import.meta.dirname, '../../dist/test/e2b.mjs');
  const entryPoints = [path.join(stories, 'e2b.ts')];
  await build({ entryPoints, outfile, bundle: true, packages: 'external', platform: 'node', format: 'esm' });
  return [process.execPath, outfile, path.join(import.meta.dirname, 'guest-programs/web.py')];
}

const CLIENTS: Record<string, PublishedClient> = {
  'ucloud_sandbox 1.2.0': {
    settings: 'agentbox',
    program: python('ucloud_sandbox==1.2.0', 'ucloud_sandbox_1_2_0.py'),
    without: ['stores metadata with a file'],
  },
  'ucloud_sandbox 1.5.0': {
    settings: 'ucloud',
    program: python('ucloud_sandbox==1.5.0', 'ucloud_sandbox_1_5_0.py'),
    without: [],
  },
  'e2b 2.63.0 from PyPI, sync': { settings: 'e2b', program: python('e2b==2.63.0', 'e2b_sync.py'), without: [] },
  'e2b 2.63.0 from PyPI, async': {
    settings: 'e2b',
    program: python('e2b==2.63.0', 'e2b_async.py'),
    without: ['signs uploads and downloads that need no token'],
  },
  'e2b 2.51.0 from npm': { settings: 'e2b', program: node, without: [] },
};

const PARTS = [
  'creates a sandbox with metadata and environment',
  'runs commands in the foreground',
  'runs a command in the background, connects to it by its pid, kills it',
  'sends input to a command',
  'ends a command at its time',
  'runs commands and writes files as root',
  'uses a terminal',
  'writes, reads, lists, moves and removes files',
  'streams a large file up and down',
  'watches a directory',
  'stores metadata with a file',
  'signs uploads and downloads that need no token',
  'serves HTTP and WebSockets from a port of the guest',
  "reads the sandbox's metrics",
  'lists sandboxes with filters and pages',
  'sets the timeout, shorter and longer',
  "pauses, and open streams end with an error of the client's",
  'connects, and the processes of before go on',
  'is killed during a command, and then is not there',
];

/** Two stories are told at a time, in this order: much of each is waiting. */
const beginning = new Map<string, Promise<Story>>();
beforeAll(() => {
  const limit = pLimit(2);
  for (const [name, client] of Object.entries(CLIENTS)) {
    const begun = new Promise<Story>((resolve, reject) => {
      const tell = async (): Promise<void> => {
        const [command, ...args] = await client.program();
        const story = new Story(command, args, settings(inject('service'), client.settings));
        resolve(story);
        await story.all();
      };
      limit(tell).catch(reject);
    });
    begun.catch(() => undefined);
    beginning.set(name, begun);
  }
});

describe.each(Object.entries(CLIENTS))('%s', (name, client) => {
  const parts = PARTS.filter((part) => !client.without.includes(part));
  let story: Story;
  beforeAll(async () => {
    story = await beginning.get(name)!;
  }, 300_000);

  test.each(parts)('%s', async (part) => {
    const { error } = await story.part(part);
    expect(error).toBeNull();
  });

  test('tells nothing else', async () => {
    expect(await story.all()).toEqual(parts);
  });
});
