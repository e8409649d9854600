import { afterAll, beforeAll, expect, test } from 'vitest';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import { FileType } from '../../src/gen/filesystem/filesystem_pb.js';
import { asRoot, startAgent, type RunningAgent } from './agent-process.js';
import { bash, run } from './run-command.js';

const why = !asRoot ? 'only root can mount' : existsSync('/dev/fuse') ? '' : 'there is no /dev/fuse here';
const program = fileURLToPath(new URL('programs/hanging-fuse.py', import.meta.url));
const LIMIT_MS = 90_000;

/** A file system that takes requests and answers none: who waits for it cannot even be killed. */
let agent: RunningAgent;
let hanging: ChildProcess | undefined;
beforeAll(async () => {
  agent = await startAgent();
  await mkdir(at('home/mnt'), { recursive: true });
  await writeFile(at('home/plain'), 'plain');
  await symlink('mnt/file', at('home/link'));
  if (why !== '') return;
  hanging = spawn('python3', [program, at('home/mnt')], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(hanging.stdout!, 'data');
}, LIMIT_MS);
afterAll(async () => {
  if (hanging !== undefined) {
    const ended = once(hanging, 'exit');
    hanging.kill('SIGKILL');
    await ended;
    await promisify(execFile)('umount', ['-l', at('home/mnt')]);
  }
  await agent.stop();
}, LIMIT_MS);

const at = (name: string): string => `${agent.directory}/${name}`;
const files = (path: string): string => `/files?${new URLSearchParams({ path })}`;
const upload = (path: string) => agent.fetch(files(path), { method: 'POST', body: 'hello' });
const answered = async (answer: Response) => [answer.status, ((await answer.json()) as { message: string }).message];

async function everythingAnswers(): Promise<void> {
  expect(await (await agent.fetch(files(at('home/plain')))).text()).toBe('plain');
  expect((await upload(at('home/written'))).status).toBe(200);
  expect((await agent.filesystem.stat({ path: at('home/plain') })).entry?.size).toBe(5n);
  expect((await run(agent, bash('echo hi'))).stdout).toBe('hi\n');
}

const skipped = (): string => (why === '' ? '' : ` (skipped: ${why})`);

test.skipIf(why !== '')(
  `many calls on a mount that hangs each end with an error that says so, and hold nothing else up${skipped()}`,
  async () => {
    const { filesystem } = agent;
    const inside = at('home/mnt/file');
    const calls = [
      ...Array.from({ length: 4 }, () => filesystem.stat({ path: inside })),
      filesystem.listDir({ path: at('home/mnt') }),
      filesystem.makeDir({ path: at('home/mnt/directory') }),
      filesystem.move({ source: at('home/plain'), destination: at('home/mnt/moved') }),
      filesystem.remove({ path: inside }),
      filesystem
        .watchDir({ path: at('home/mnt'), allowNetworkMounts: true })
        [Symbol.asyncIterator]()
        .next(),
      run(agent, bash('true', { cwd: at('home/mnt') })),
    ].map((call) =>
      call.then(
        () => 'done',
        (error: unknown) => String(error),
      ),
    );
    const transfers = [...Array.from({ length: 4 }, () => upload(inside)), agent.fetch(files(inside))];
    await everythingAnswers();
    for (const call of calls) expect(await call).toMatch(/\[deadline_exceeded\] '.*\/home\/mnt.*' does not answer/);
    for (const transfer of transfers) {
      expect(await answered(await transfer)).toEqual([504, expect.stringContaining(`'${inside}' does not answer`)]);
    }
    await everythingAnswers();
  },
  LIMIT_MS,
);

test.skipIf(why !== '')(
  `a directory with such a mount in it is listed, also what leads there${skipped()}`,
  async () => {
    const { entries } = await agent.filesystem.listDir({ path: at('home'), depth: 3 });
    const told = Object.fromEntries(entries.map(({ name, type }) => [name, type]));
    expect(told).toMatchObject({ mnt: FileType.DIRECTORY, link: FileType.SYMLINK, plain: FileType.FILE });
    const { entry } = await agent.filesystem.stat({ path: at('home/link') });
    expect(entry).toMatchObject({ isSymlink: true, symlinkTarget: 'mnt/file' });
  },
  LIMIT_MS,
);

test.skipIf(why !== '')(
  `such a mount is not watched without being allowed, and the tree around it is watched without it${skipped()}`,
  async () => {
    const { createWatcher, getWatcherEvents } = agent.filesystem;
    await expect(createWatcher({ path: at('home/mnt') })).rejects.toThrow('[invalid_argument]');
    const { watcherId } = await createWatcher({ path: at('home'), recursive: true });
    await writeFile(at('home/new'), '');
    const names: string[] = [];
    const seen = async () => {
      names.push(...(await getWatcherEvents({ watcherId })).events.map(({ name }) => name));
      return names;
    };
    await expect.poll(seen).toContain('new');
  },
  LIMIT_MS,
);

test('files of a file system that answers are read, written and listed as elsewhere', async () => {
  expect(await (await agent.fetch(files('/proc/sys/kernel/ostype'))).text()).toBe('Linux\n');
  const { entries } = await agent.filesystem.listDir({ path: '/proc/self/net' });
  expect(entries.map(({ name }) => name)).toContain('dev');
  await expect(agent.filesystem.stat({ path: '/proc/none' })).rejects.toThrow('[not_found]');
  expect((await agent.fetch(files('/proc/none'))).status).toBe(404);
  const { stdout } = await run(agent, bash('pwd', { cwd: '/proc/sys' }));
  expect(stdout).toBe('/proc/sys\n');
  const names = (await agent.filesystem.listDir({ path: '/' })).entries.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(['proc', 'etc']));
});

test.runIf(asRoot)('an upload of some MiB onto another disk comes back whole', async (context) => {
  const disk = at('disk');
  const made = await run(
    agent,
    bash(
      `mkdir ${disk} && truncate -s 32M ${disk}.img && mkfs.ext4 -q ${disk}.img && mount -o loop ${disk}.img ${disk}`,
    ),
  );
  if (made.end?.exitCode !== 0) return context.skip(`no disk could be mounted: ${made.stderr}`);
  try {
    const bytes = Buffer.from(Array.from({ length: 3_000_000 }, (_, index) => (index * 7) % 251));
    const answer = await agent.fetch(files(`${disk}/a/b`), { method: 'POST', body: bytes });
    expect(await answer.json()).toEqual([{ name: 'b', type: 'file', path: `${disk}/a/b` }]);
    expect((await readFile(`${disk}/a/b`)).equals(bytes)).toBe(true);
    const back = await agent.fetch(files(`${disk}/a/b`));
    expect(back.headers.get('content-length')).toBe('3000000');
    expect(Buffer.from(await back.arrayBuffer()).equals(bytes)).toBe(true);
    const ranges = await agent.fetch(files(`${disk}/a/b`), { headers: { range: 'bytes=5-6,1000000-1999999' } });
    expect([ranges.status, ranges.headers.get('last-modified')]).toEqual([206, back.headers.get('last-modified')]);
    const parts = Buffer.from(await ranges.arrayBuffer());
    for (const part of [bytes.subarray(5, 7), bytes.subarray(1_000_000, 2_000_000)])
      expect(parts.includes(Buffer.concat([Buffer.from('\r\n\r\n'), part, Buffer.from('\r\n--')]))).toBe(true);
    expect((await agent.fetch(files(`${disk}/c`), { method: 'POST', body: Buffer.alloc(60_000_000) })).status).toBe(
      507,
    );
    await agent.filesystem.remove({ path: `${disk}/a` });
    const { entries } = await agent.filesystem.listDir({ path: disk });
    expect(entries.map(({ name }) => name)).toEqual(['lost+found']);
  } finally {
    await run(agent, bash(`umount ${disk}`));
  }
});
