import { afterAll, beforeAll, expect, test } from 'vitest';
import { appendFile, chmod, mkdir, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { EventType, type FilesystemEvent } from '../../src/gen/filesystem/filesystem_pb.js';
import { asRoot, startAgent, type RunningAgent } from './agent-process.js';
import { bash, run } from './run-command.js';

let agent: RunningAgent;
beforeAll(async () => {
  agent = await startAgent();
});
afterAll(() => agent.stop());

const at = (name: string): string => `${agent.directory}/${name}`;
const wordOf = ({ type, name }: FilesystemEvent): string => `${EventType[type]} ${name}`;
const words = (events: FilesystemEvent[]): string[] =>
  events.map(wordOf).filter((word, index, all) => word !== all[index - 1]);

/** Waits until the watcher has told this so many times; of what lies deeper, only a watcher of the tree is asked. */
type Seen = (word: string, times?: number) => Promise<void>;

/** Lets `happen` happen in a fresh directory, and collects what a watcher of it says. */
async function watched(
  name: string,
  options: { recursive?: boolean; includeEntry?: boolean },
  happen: (directory: string, seen: Seen) => Promise<void>,
): Promise<FilesystemEvent[]> {
  await mkdir(at(name), { recursive: true });
  const { watcherId } = await agent.filesystem.createWatcher({ path: at(name), ...options });
  const events: FilesystemEvent[] = [];
  const look = async (): Promise<string[]> => {
    events.push(...(await agent.filesystem.getWatcherEvents({ watcherId })).events);
    return events.map(wordOf);
  };
  await happen(at(name), async (word, times = 1) => {
    if (word.includes('/') && options.recursive !== true) return;
    const count = async (): Promise<number> => (await look()).filter((one) => one === word).length;
    await expect.poll(count, { message: word }).toBeGreaterThanOrEqual(times);
  });
  // All that has happened is told now.
  await look();
  await agent.filesystem.removeWatcher({ watcherId });
  return events;
}

test('creating, writing, changing the mode, renaming and removing are told apart', async () => {
  const events = await watched('plain', {}, async (directory, seen) => {
    await writeFile(`${directory}/a`, '');
    await seen('CREATE a');
    await appendFile(`${directory}/a`, 'x');
    await seen('WRITE a');
    await chmod(`${directory}/a`, 0o600);
    await seen('CHMOD a');
    await rename(`${directory}/a`, `${directory}/b`);
    await seen('CREATE b');
    await rm(`${directory}/b`);
    await seen('REMOVE b');
  });
  expect(words(events)).toEqual(['CREATE a', 'WRITE a', 'CHMOD a', 'RENAME a', 'CREATE b', 'REMOVE b']);
});

test('a tree is watched with what is new in it, a directory alone without what is under it', async () => {
  await mkdir(at('tree/old'), { recursive: true });
  const happen = async (directory: string, seen: Seen) => {
    await writeFile(`${directory}/old/f`, '');
    await mkdir(`${directory}/new/deep`, { recursive: true });
    await seen('CREATE new');
    await seen('CREATE new/deep');
    await writeFile(`${directory}/new/deep/g`, '');
    await seen('CREATE new/deep/g');
    await rm(`${directory}/new/deep/g`);
    await seen('REMOVE new/deep/g');
    await rmdir(`${directory}/new/deep`);
    await seen('REMOVE new/deep');
    await rename(`${directory}/new`, `${directory}/moved`);
    await seen('CREATE moved');
    await writeFile(`${directory}/moved/h`, '');
    await seen('CREATE moved/h');
  };
  const tree = words(await watched('tree', { recursive: true }, happen));
  for (const word of ['CREATE old/f', 'CREATE new', 'CREATE new/deep', 'CREATE new/deep/g', 'REMOVE new/deep/g']) {
    expect(tree).toContain(word);
  }
  expect(tree.filter((word) => /new$|moved/.test(word)).slice(-3)).toEqual([
    'RENAME new',
    'CREATE moved',
    'CREATE moved/h',
  ]);
  await rm(at('tree'), { recursive: true });
  await mkdir(at('tree/old'), { recursive: true });
  expect(words(await watched('tree', {}, happen))).toEqual(['CREATE new', 'RENAME new', 'CREATE moved']);
});

test('an upload is told as the file it makes or changes, never as its draft', async () => {
  const upload = (file: string) =>
    agent.fetch(`/files?${new URLSearchParams({ path: file })}`, { method: 'POST', body: 'content' });
  const events = await watched('uploads', {}, async (directory, seen) => {
    await upload(`${directory}/f`);
    await seen('WRITE f');
    await upload(`${directory}/f`);
    await seen('WRITE f', 2);
  });
  expect(events.map(({ type }) => EventType[type])).toEqual(['CREATE', 'CHMOD', 'WRITE', 'CHMOD', 'WRITE']);
});

test('entries come with events when asked for, but not of what is gone', async () => {
  await writeFile(at('whole'), 'abc');
  const events = await watched('entries', { includeEntry: true }, async (directory, seen) => {
    await rename(at('whole'), `${directory}/a`);
    await seen('CREATE a');
    await rm(`${directory}/a`);
    await seen('REMOVE a');
  });
  expect(events[0]).toMatchObject({ name: 'a', entry: { path: at('entries/a'), size: 3n } });
  expect(events.at(-1)).toMatchObject({ type: EventType.REMOVE });
  expect(events.at(-1)?.entry).toBeUndefined();
  const without = await watched('entries', {}, async (directory, seen) => {
    await writeFile(`${directory}/b`, '');
    await seen('CREATE b');
  });
  expect(without[0]?.entry).toBeUndefined();
});

test('a stream of events begins with its start, lives through silence, and ends at its time', async () => {
  await mkdir(at('stream'));
  const kinds: string[] = [];
  const headers = { 'keepalive-ping-interval': '0.1' };
  const watching = async () => {
    for await (const { event } of agent.filesystem.watchDir({ path: at('stream') }, { headers, timeoutMs: 3_000 })) {
      if (event.case === 'start') setTimeout(() => void writeFile(at('stream/x'), ''), 250);
      if (event.case !== undefined && kinds.at(-1) !== event.case) kinds.push(event.case);
    }
  };
  await expect(watching()).rejects.toThrow('[deadline_exceeded]');
  expect(kinds).toEqual(['start', 'keepalive', 'filesystem', 'keepalive']);
});

test('what cannot be watched, and watchers that are not there, are errors', async () => {
  const { createWatcher, getWatcherEvents, removeWatcher } = agent.filesystem;
  await writeFile(at('file'), '');
  await expect(createWatcher({ path: at('missing') })).rejects.toThrow('[not_found]');
  await expect(createWatcher({ path: at('file') })).rejects.toThrow('[invalid_argument]');
  await expect(getWatcherEvents({ watcherId: 'none' })).rejects.toThrow('[not_found]');
  await expect(removeWatcher({ watcherId: 'none' })).rejects.toThrow('[not_found]');
  const stream = agent.filesystem.watchDir({ path: at('missing') })[Symbol.asyncIterator]();
  await expect(stream.next()).rejects.toThrow('[not_found]');
});

test('a directory on another mount is watched like any other', async (context) => {
  context.skip(!asRoot, 'needs root');
  await mkdir(at('mounted'));
  if ((await run(agent, bash(`mount -t tmpfs none ${at('mounted')}`))).end?.exitCode !== 0)
    context.skip('nothing can be mounted here');
  try {
    const happen = (directory: string) => writeFile(`${directory}/f`, '');
    expect(words(await watched('mounted', {}, happen))).toContain('CREATE f');
  } finally {
    await run(agent, bash(`umount ${at('mounted')}`));
  }
});
