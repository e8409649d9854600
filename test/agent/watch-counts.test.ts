import { afterAll, beforeAll, expect, test } from 'vitest';
import { appendFile, chmod, mkdir, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { EventType, type FilesystemEvent } from '../../src/gen/filesystem/filesystem_pb.js';
import { startAgent, type RunningAgent } from './agent-process.js';
import { bash, run } from './run-command.js';

/** Kinds, number and order of events, as upstream's agent has them from the kernel. */
let agent: RunningAgent;
beforeAll(async () => {
  agent = await startAgent();
});
afterAll(() => agent.stop());

const at = (name: string): string => `${agent.directory}/${name}`;
const wordOf = ({ type, name }: FilesystemEvent): string => `${EventType[type]} ${name}`;
let directories = 0;

interface Watcher {
  directory: string;
  /** What has happened since the last call, asked for at once. */
  now: () => Promise<string[]>;
  remove: () => Promise<unknown>;
}

async function watcher(options: { recursive?: boolean; includeEntry?: boolean } = {}): Promise<Watcher> {
  const directory = at(`watched-${directories++}`);
  await mkdir(directory);
  const { watcherId } = await agent.filesystem.createWatcher({ path: directory, ...options });
  return {
    directory,
    now: async () => (await agent.filesystem.getWatcherEvents({ watcherId })).events.map(wordOf),
    remove: () => agent.filesystem.removeWatcher({ watcherId }),
  };
}

const upload = async (file: string, body: string): Promise<void> => {
  const address = `/files?${new URLSearchParams({ path: file })}`;
  const headers = { 'content-type': 'application/octet-stream' };
  expect((await agent.fetch(address, { method: 'POST', body, headers })).status).toBe(200);
};

/** What happens in `directory`, and the events of it. */
const STEPS: [what: (directory: string) => Promise<unknown>, events: string[]][] = [
  [(directory) => upload(`${directory}/up`, 'text'), ['CREATE up', 'CHMOD up', 'WRITE up']],
  [(directory) => upload(`${directory}/up`, 'other text'), ['CHMOD up', 'WRITE up']],
  [(directory) => upload(`${directory}/empty`, ''), ['CREATE empty', 'CHMOD empty']],
  [(directory) => writeFile(`${directory}/a`, 'text'), ['CREATE a', 'WRITE a']],
  [(directory) => appendFile(`${directory}/a`, 'more'), ['WRITE a']],
  [
    (directory) => run(agent, bash(`cd ${directory}; echo -n x >> a; echo -n y > b`)),
    ['WRITE a', 'CREATE b', 'WRITE b'],
  ],
  [(directory) => chmod(`${directory}/a`, 0o600), ['CHMOD a']],
  [(directory) => rename(`${directory}/a`, `${directory}/c`), ['RENAME a', 'CREATE c']],
  [(directory) => rename(`${directory}/c`, `${directory}/b`), ['RENAME c', 'CREATE b']],
  [(directory) => rename(`${directory}/b`, at(`outside-${directories}`)), ['RENAME b']],
  [(directory) => rename(at(`outside-${directories}`), `${directory}/d`), ['CREATE d']],
  [(directory) => rm(`${directory}/d`), ['REMOVE d']],
  [(directory) => agent.filesystem.makeDir({ path: `${directory}/made` }), ['CREATE made', 'CHMOD made']],
  [(directory) => mkdir(`${directory}/sub`), ['CREATE sub']],
  [
    (directory) => agent.filesystem.move({ source: `${directory}/sub`, destination: `${directory}/moved` }),
    ['RENAME sub', 'CREATE moved'],
  ],
  [(directory) => rmdir(`${directory}/moved`), ['REMOVE moved']],
  [(directory) => agent.filesystem.remove({ path: `${directory}/up` }), ['REMOVE up']],
];

test.each([{}, { recursive: true }, { includeEntry: true }])(
  'a watcher that is asked right after a change has its events, all of them and no others: %j',
  async (options) => {
    const { directory, now, remove } = await watcher(options);
    for (const [what, events] of STEPS) {
      await what(directory);
      expect(await now()).toEqual(events);
    }
    expect(await now()).toEqual([]);
    await remove();
  },
);

test.each([{}, { recursive: true }])('a stream has the same events in the same order: %j', async (options) => {
  const directory = at(`watched-${directories++}`);
  await mkdir(directory);
  const heard: string[] = [];
  for await (const { event } of agent.filesystem.watchDir({ path: directory, ...options }, { timeoutMs: 30_000 })) {
    if (event.case === 'start') {
      void (async () => {
        let expected = 0;
        for (const [what, events] of STEPS) {
          await what(directory);
          expected += events.length;
          // The kernel makes one of two that are the same and have not been read.
          await expect.poll(() => heard.length, { timeout: 10_000 }).toBeGreaterThanOrEqual(expected);
        }
        await writeFile(`${directory}/over`, '');
      })();
    }
    if (event.case === 'filesystem') heard.push(wordOf(event.value));
    if (heard.at(-1) === 'CREATE over') break;
  }
  expect(heard).toEqual([...STEPS.flatMap(([, events]) => events), 'CREATE over']);
});

test('several who watch one directory have its events each, from their own beginning', async () => {
  const first = await watcher();
  await writeFile(`${first.directory}/a`, '');
  const { watcherId } = await agent.filesystem.createWatcher({ path: first.directory });
  await writeFile(`${first.directory}/b`, '');
  expect(await first.now()).toEqual(['CREATE a', 'CREATE b']);
  await first.remove();
  await writeFile(`${first.directory}/c`, '');
  const { events } = await agent.filesystem.getWatcherEvents({ watcherId });
  expect(events.map(wordOf)).toEqual(['CREATE b', 'CREATE c']);
});

test('in a tree each entry of a new directory is told once, however fast it came', async () => {
  const { directory, now } = await watcher({ recursive: true });
  for (let round = 0; round < 20; round++) {
    await mkdir(`${directory}/${round}/deep/er`, { recursive: true });
    await writeFile(`${directory}/${round}/deep/f`, '');
    const created = [`${round}`, `${round}/deep`, `${round}/deep/er`, `${round}/deep/f`];
    expect((await now()).sort()).toEqual(created.map((name) => `CREATE ${name}`).sort());
    await upload(`${directory}/${round}/deep/up`, 'text');
    expect(await now()).toEqual(['CREATE', 'CHMOD', 'WRITE'].map((word) => `${word} ${round}/deep/up`));
  }
  await rm(`${directory}/0`, { recursive: true });
  const removed = ['0', '0/deep', '0/deep/er', '0/deep/f', '0/deep/up'];
  expect((await now()).sort()).toEqual(removed.map((name) => `REMOVE ${name}`).sort());
});

test('a directory is followed where it is moved in its tree, and no further', async () => {
  const { directory, now } = await watcher({ recursive: true });
  await mkdir(`${directory}/a/b`, { recursive: true });
  await now();
  await rename(`${directory}/a`, `${directory}/z`);
  expect(await now()).toEqual(['RENAME a', 'CREATE z']);
  await writeFile(`${directory}/z/b/f`, '');
  expect(await now()).toEqual(['CREATE z/b/f']);
  const outside = at('outside');
  await rename(`${directory}/z`, outside);
  expect(await now()).toEqual(['RENAME z']);
  await writeFile(`${outside}/b/g`, '');
  expect(await now()).toEqual([]);
  await rename(outside, `${directory}/back`);
  const found = ['back', 'back/b', 'back/b/f', 'back/b/g'];
  expect((await now()).sort()).toEqual(found.map((name) => `CREATE ${name}`));
  await rm(`${directory}/back/b/f`);
  expect(await now()).toEqual(['REMOVE back/b/f']);
});

test('the end of the watched directory itself is told', async () => {
  const removed = await watcher({ recursive: true });
  await rm(removed.directory, { recursive: true });
  expect(await removed.now()).toEqual(['REMOVE .']);
  const moved = await watcher();
  await rename(moved.directory, at('elsewhere'));
  expect(await moved.now()).toEqual(['RENAME .']);
  await writeFile(at('elsewhere/f'), '');
  expect(await moved.now()).toEqual([]);
});
