import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { MetricSample } from '../../src/gateway/wire.js';
import { StatePaths } from '../../src/host/state-paths.js';
import { Journal } from '../../src/journal/journal.js';
import { processEntries } from '../../src/journal/process-event.js';
import { sampleOf } from '../../src/journal/sample.js';

const said = {
  ...{ ts: 1, cpu_count: 2, cpu_used_pct: 12.345, mem_total: 500, mem_used: 200, mem_cache: 100 },
  ...{ mem_total_mib: 0, mem_used_mib: 0, disk_used: 10, disk_total: 1000 },
};

const sample = (at: number): MetricSample => sampleOf(said, at)!;

let directory: string;
let journal: Journal;
let paths: StatePaths;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'journal-test-'));
  paths = new StatePaths(directory);
  await mkdir(paths.sandbox('i1').directory, { recursive: true });
  journal = new Journal(paths);
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe('what a guest says of itself', () => {
  test('is a sample of the host’s time', () => {
    expect(sampleOf({ ...said, ts: 9e99 }, 5)).toEqual({
      ...{ at: 5, cpuCount: 2, cpuUsedPct: 12.35, memTotal: 500, memUsed: 200, memCache: 100 },
      ...{ diskTotal: 1000, diskUsed: 10 },
    });
  });

  test.each([
    ['no object', 'hello'],
    ['nothing', undefined],
    ['text for a number', { ...said, cpu_count: '2' }],
    ['a negative size', { ...said, mem_used: -1 }],
    ['more than any machine has', { ...said, disk_total: 1e30 }],
    ['a fraction of a byte', { ...said, mem_total: 0.5 }],
    ['more than all of the time', { ...said, cpu_used_pct: 101 }],
    ['no number', { ...said, cpu_used_pct: null }],
    ['a million CPUs', { ...said, cpu_count: 1e6 }],
  ])('is no sample when it is %s', (_what, text) => {
    expect(sampleOf(text, 5)).toBeUndefined();
  });

  test('cannot use more than there is', () => {
    expect(sampleOf({ ...said, mem_used: 900, disk_used: 9000 }, 5)).toMatchObject({ memUsed: 500, diskUsed: 1000 });
  });

  test('makes entries of pid, user and exit code only, none of them in the future', () => {
    const event = { at: 50, event: 'ended', pid: 7, user: 'root', exitCode: 3, command: 'cat /secret' };
    expect(processEntries({ events: [event, { ...event, at: 1e15, event: 'started' }] }, 100)).toEqual([
      {
        ...{ at: 50, level: 'info', message: 'process ended' },
        fields: { source: 'agent', event: 'process-ended', pid: '7', user: 'root', exitCode: '3' },
      },
      {
        ...{ at: 100, level: 'info', message: 'process started' },
        fields: { source: 'agent', event: 'process-started', pid: '7', user: 'root' },
      },
    ]);
  });

  test('names what happened to all programs together', () => {
    const events = [
      { at: 50, event: 'out-of-memory', count: 2 },
      { at: 51, event: 'too-many-threads', count: 9, user: 'x y' },
      { at: 52, event: 'out-of-memory', count: 'many' },
    ];
    expect(processEntries({ events }, 100)).toEqual([
      {
        ...{ at: 50, level: 'warn', message: 'memory ran out: the kernel ended programs' },
        fields: { source: 'agent', event: 'out-of-memory', count: '2' },
      },
      {
        ...{ at: 51, level: 'warn', message: 'too many threads: the kernel refused to start more' },
        fields: { source: 'agent', event: 'too-many-threads', count: '9' },
      },
    ]);
  });

  test('whatever it is, makes bounded entries or none', () => {
    const hostile = fc.oneof(
      fc.anything(),
      fc.record({ events: fc.array(fc.anything()), dropped: fc.anything() }),
      fc.record({
        events: fc.array(
          fc.record({
            at: fc.double(),
            event: fc.constantFrom('started', 'ended', 'x'),
            pid: fc.oneof(fc.integer(), fc.double()),
            user: fc.string(),
            exitCode: fc.oneof(fc.integer(), fc.constant(null)),
          }),
        ),
      }),
    );
    fc.assert(
      fc.property(hostile, (text) => {
        for (const entry of processEntries(text, 1000)) {
          expect(entry.at).toBeLessThanOrEqual(1000);
          expect(JSON.stringify(entry).length).toBeLessThan(250);
        }
      }),
    );
    expect(
      processEntries({ events: new Array(5_000).fill({ at: 1, event: 'started', pid: 1, user: 'a' }) }, 5),
    ).toHaveLength(1_000);
  });
});

describe('the samples of a sandbox', () => {
  test('are kept in its own directory and found again by another process', async () => {
    for (const at of [1, 2, 3]) journal.addSample('i1', sample(at));
    expect((await new Journal(paths).samples('i1')).map(({ at }) => at)).toEqual([1, 2, 3]);
    expect(new Journal(paths).latest('i1')?.at).toBe(3);
    expect(journal.latest('i2')).toBeUndefined();
    expect((await stat(paths.sandbox('i1').metrics)).mode & 0o777).toBe(0o600);
  });

  test('stay within their bound: the older the fewer, the first and the newest among them', async () => {
    const start = Date.parse('2026-01-01');
    for (let n = 0; n < 20_000; n++) journal.addSample('i1', sample(start + n * 15_000));
    const { size } = await stat(paths.sandbox('i1').metrics);
    expect(size).toBeLessThanOrEqual(512 * 1024);
    const kept = (await journal.samples('i1')).map(({ at }) => (at - start) / 15_000);
    expect(kept[0]).toBe(0);
    expect(kept.slice(-100)).toEqual(Array.from({ length: 100 }, (_, n) => 19_900 + n));
    expect(kept.length).toBeGreaterThan(1_000);
    expect(await readdir(paths.sandbox('i1').directory)).toEqual(['metrics.jsonl']);
  });

  test('are read in turns with everything else, one file after the other', async () => {
    for (let n = 0; n < 3_000; n++) journal.addSample('i1', sample(n));
    let turns = 0;
    let reading = true;
    const count = (): void => {
      turns += 1;
      if (reading) setImmediate(count);
    };
    setImmediate(count);
    const both = await Promise.all([journal.samples('i1'), journal.samples('i1')]);
    reading = false;
    expect(both.map(({ length }) => length)).toEqual([3_000, 3_000]);
    expect(turns).toBeGreaterThan(50);
  });

  test('have a newest that is remembered, also that there is none, and is found without reading them all', async () => {
    const { metrics } = paths.sandbox('i1');
    const idle = new Journal(paths);
    expect(idle.latest('i1')).toBeUndefined();
    for (const at of [1, 2]) journal.addSample('i1', sample(at));
    await appendFile(metrics, '{"at":3,"cpuC');
    expect(new Journal(paths).latest('i1')?.at).toBe(2);
    expect(idle.latest('i1')).toBeUndefined();
    idle.addSample('i1', sample(4));
    await rm(metrics);
    expect(idle.latest('i1')?.at).toBe(4);
    idle.forget('i1');
    expect(idle.latest('i1')).toBeUndefined();
  });

  test('outlive a torn line', async () => {
    journal.addSample('i1', sample(1));
    await appendFile(paths.sandbox('i1').metrics, '{"at":2,"cpuC');
    expect((await journal.samples('i1')).map(({ at }) => at)).toEqual([1]);
  });

  test('are not written for a sandbox that is gone, and do not bring its directory back', async () => {
    await rm(paths.sandbox('i1').directory, { recursive: true });
    journal.addSample('i1', sample(1));
    journal.addEvent('i1', 1, 'paused');
    expect(await readdir(paths.sandboxes)).toEqual([]);
  });
});

describe('the log of a sandbox', () => {
  const busy = (count: number, at: number) =>
    Array.from({ length: count }, (_, n) => ({
      ...{ at: at + n, level: 'info' as const, message: 'process started' },
      fields: { source: 'agent', event: 'process-started', pid: String(n), user: 'user' },
    }));

  test('has a step once, however often it ran', async () => {
    journal.addEvent('i1', 1, 'created');
    journal.addEvent('i1', 2, 'paused');
    journal.addEvent('i1', 2, 'paused');
    new Journal(paths).addEvent('i1', 2, 'paused');
    journal.addEvent('i1', 4, 'paused');
    expect((await journal.entries('i1')).map(({ message, fields }) => [message, fields['generation']])).toEqual([
      ['sandbox created', '1'],
      ['sandbox paused', '2'],
      ['sandbox paused', '4'],
    ]);
  });

  test('is in order of time, and no two entries have the same', async () => {
    journal.addEntries('i1', busy(3, 100));
    journal.addEntries('i1', busy(3, 99));
    expect((await journal.entries('i1')).map(({ at }) => at)).toEqual([99, 100, 101, 102, 103, 104]);
  });

  test('stays within its bound, and a busy guest does not push out what happened to the sandbox', async () => {
    journal.addEvent('i1', 1, 'created');
    for (let n = 0; n < 20; n++) journal.addEntries('i1', busy(500, n * 500));
    const text = await readFile(paths.sandbox('i1').log, 'utf8');
    expect(text.length).toBeLessThanOrEqual(256 * 1024);
    expect(text).toContain('sandbox created');
    expect(text).toContain('"at":9999,');
  });
});
