import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { writeManifest, type Manifest } from '../../src/host/manifest.js';
import { SandboxIndex } from '../../src/host/sandbox-index.js';
import { signEarlierManifests, signingRecords } from '../../src/host/sign-manifests.js';
import { StatePaths } from '../../src/host/state-paths.js';
import { createLogger } from '../../src/log.js';

const KEY = Buffer.alloc(32, 1);
const log = createLogger('test', 'fatal' as 'error');

let paths: StatePaths;
beforeEach(async () => {
  paths = new StatePaths(await mkdtemp(path.join(tmpdir(), 'index-')));
  await mkdir(paths.sandboxes);
});
afterEach(() => rm(paths.root, { recursive: true }));

const load = (): Promise<SandboxIndex> => SandboxIndex.load(paths, KEY, log);

const manifestOf = (id: string): Manifest =>
  ({
    ...{ schema: 1, id, generation: 3, phase: { name: 'saved' }, slot: null, allowInternetAccess: false },
    ...{ image: { generation: 3, digest: 'd', bytes: 1, savedAt: 1 } },
    view: { spec: { id, tenant: 'a', metadata: { b: '1', '2': 'x' } }, generation: 3, status: 'paused' },
  }) as unknown as Manifest;

async function put(...ids: string[]): Promise<void> {
  const index = await load();
  for (const id of ids) {
    await mkdir(paths.sandbox(id).directory, { recursive: true });
    await index.put(manifestOf(id));
  }
}

/** As the version before wrote it. */
async function putUnsigned(...ids: string[]): Promise<void> {
  for (const id of ids) {
    await mkdir(paths.sandbox(id).directory, { recursive: true });
    await writeFile(paths.sandbox(id).manifest, JSON.stringify(manifestOf(id)));
  }
}

const textOf = (id: string): Promise<string> => readFile(paths.sandbox(id).manifest, 'utf8');

type Changeable = Record<string, unknown> & { view: { spec: Record<string, unknown> } };

async function edit(id: string, change: (manifest: Changeable) => void): Promise<void> {
  const manifest = JSON.parse(await textOf(id)) as Changeable;
  change(manifest);
  await writeFile(paths.sandbox(id).manifest, JSON.stringify(manifest));
}

test('one manifest that cannot be read stops neither the host nor the other sandboxes, and is left as it is', async () => {
  await put('good');
  for (const id of ['cut', 'other']) await mkdir(paths.sandbox(id).directory);
  await writeFile(paths.sandbox('cut').manifest, '{"schema":1,"id":"cu');
  await writeFile(paths.sandbox('other').manifest, '{"schema":7}');
  const again = await load();
  expect(again.all().map(({ id }) => id)).toEqual(['good']);
  expect(['good', 'cut', 'other', 'absent'].map((id) => again.isUnreadable(id))).toEqual([false, true, true, false]);
  expect(await textOf('cut')).toBe('{"schema":1,"id":"cu');
});

describe('a manifest is authenticated', () => {
  test.each<[string, (manifest: Changeable) => void]>([
    ['tenant', (one) => (one.view.spec['tenant'] = 'b')],
    ['network rule', (one) => (one['allowInternetAccess'] = true)],
    ['kind of image', (one) => (one['image'] = { kind: 'disk', generation: 3, savedAt: 1 })],
    ['generation', (one) => (one['generation'] = 4)],
    ['phase', (one) => (one['phase'] = { name: 'running' })],
    ['fields', (one) => (one['more'] = 1)],
    ['code', (one) => (one['mac'] = 'ab'.repeat(32))],
    ['code, which is stripped', (one) => delete one['mac']],
    ['code, which is no text', (one) => (one['mac'] = 7)],
  ])('one with a changed %s says nothing', async (_what, change) => {
    await put('s');
    expect((await load()).get('s')).toEqual(manifestOf('s'));
    await edit('s', change);
    const changed = await load();
    expect([changed.get('s'), changed.view('s'), changed.isUnreadable('s')]).toEqual([undefined, undefined, true]);
  });

  test('one of another sandbox, or under another master key, says nothing', async () => {
    await put('s', 'other');
    await writeFile(paths.sandbox('s').manifest, (await textOf('other')).replaceAll('"other"', '"s"'));
    expect((await load()).isUnreadable('s')).toBe(true);
    const elsewhere = await SandboxIndex.load(paths, Buffer.alloc(32, 9), log);
    expect(elsewhere.isUnreadable('other')).toBe(true);
  });

  test('a good one that is written in its place is believed again', async () => {
    await put('s');
    await edit('s', (one) => (one['generation'] = 4));
    const index = await load();
    await index.put(manifestOf('s'));
    expect([index.isUnreadable('s'), (await load()).isUnreadable('s')]).toEqual([false, false]);
  });
});

test('a master key in the state directory, however that is spelled, has no second record beside it', () => {
  expect(signingRecords('/srv/state/', '/srv/state/master.key')).toHaveLength(1);
  expect(signingRecords('/srv/state', '/srv/state/../state/master.key')).toHaveLength(1);
  expect(signingRecords('/srv/state', '/srv/keys/master.key')).toHaveLength(2);
});

describe('the first start on manifests of the version before', () => {
  const start = async (write?: typeof writeManifest): Promise<SandboxIndex> => {
    await signEarlierManifests(paths, { manifestsKey: KEY, records: records(), log, ...(write ? { write } : {}) });
    return load();
  };
  const records = () => signingRecords(paths.root, path.join(paths.root, 'keys', 'master.key'));
  beforeEach(() => mkdir(path.join(paths.root, 'keys')));
  /** Ends in the middle, as a crash does. */
  const cutAt =
    (id: string): typeof writeManifest =>
    (to, manifest, key) =>
      manifest.id === id ? Promise.reject(new Error('for a test')) : writeManifest(to, manifest, key);

  test('does not wait for the disk once for each of them', async () => {
    await putUnsigned('a', 'b');
    let both!: () => void;
    const begun = new Promise<void>((resolve) => (both = resolve));
    let count = 0;
    const index = await start(async (...args) => {
      if (++count === 2) both();
      await begun;
      await writeManifest(...args);
    });
    expect(['a', 'b'].map((id) => index.get(id))).toEqual(['a', 'b'].map(manifestOf));
  });

  test('signs them, and an unsigned one that comes later is refused', async () => {
    await putUnsigned('a', 'b');
    const first = await start();
    expect([first.get('a'), first.get('b')]).toEqual([manifestOf('a'), manifestOf('b')]);
    await edit('a', (one) => {
      delete one['mac'];
      one.view.spec['tenant'] = 'thief';
    });
    await putUnsigned('late');
    const next = await start();
    expect(['a', 'b', 'late'].map((id) => next.isUnreadable(id))).toEqual([true, false, true]);
  });

  test('on a new state directory closes the door, too', async () => {
    await start();
    await putUnsigned('a');
    expect((await start()).isUnreadable('a')).toBe(true);
  });

  test('that was interrupted is finished by the next', async () => {
    await putUnsigned('a', 'b', 'c');
    await expect(start(cutAt('b'))).rejects.toThrow(/for a test/);
    const next = await start();
    expect(['a', 'b', 'c'].map((id) => next.get(id))).toEqual([manifestOf('a'), manifestOf('b'), manifestOf('c')]);
  });

  test('signs nothing that was changed while it was interrupted, nor anything that came then', async () => {
    await putUnsigned('a', 'b');
    await expect(start(cutAt('b'))).rejects.toThrow(/for a test/);
    await edit('b', (one) => (one.view.spec['tenant'] = 'thief'));
    await putUnsigned('late');
    const next = await start();
    expect(['a', 'b', 'late'].map((id) => next.isUnreadable(id))).toEqual([false, true, true]);
  });

  test('leaves alone what is no manifest', async () => {
    await putUnsigned('a');
    await mkdir(paths.sandbox('cut').directory);
    await writeFile(paths.sandbox('cut').manifest, '{"schema":1,"id":"cu');
    const index = await start();
    expect([index.isUnreadable('a'), index.isUnreadable('cut'), await textOf('cut')]).toEqual([
      ...[false, true, '{"schema":1,"id":"cu'],
    ]);
  });

  describe('cannot be had again', () => {
    const strip = (id: string): Promise<void> =>
      edit(id, (one) => {
        delete one['mac'];
        one.view.spec['tenant'] = 'thief';
      });

    test('by removing the record, as long as one manifest is signed', async () => {
      await putUnsigned('a', 'b');
      await start();
      for (const file of records()) await rm(file);
      await strip('a');
      const index = await start();
      expect(['a', 'b'].map((id) => index.isUnreadable(id))).toEqual([true, false]);
      await strip('b');
      expect((await start()).isUnreadable('b')).toBe(true);
    });

    test('by removing the record from the state directory and every code, when the master key is elsewhere', async () => {
      await putUnsigned('a');
      await start();
      await rm(records()[0]);
      await strip('a');
      expect((await start()).isUnreadable('a')).toBe(true);
    });

    test.each([
      ['an invented record', () => JSON.stringify({ text: '{"state":"begun","unsigned":{}}', mac: 'ab'.repeat(32) })],
      ['an empty one', () => ''],
    ])('by %s', async (_what, content) => {
      await putUnsigned('a');
      await start();
      for (const file of records()) await writeFile(file, content());
      await strip('a');
      expect((await start()).isUnreadable('a')).toBe(true);
    });

    test('by a record that was kept from the middle of it', async () => {
      await putUnsigned('a', 'b');
      await expect(start(cutAt('b'))).rejects.toThrow(/for a test/);
      const kept = await readFile(records()[0]);
      await start();
      for (const file of records()) await writeFile(file, kept);
      await strip('b');
      expect((await start()).isUnreadable('b')).toBe(true);
    });
  });
});
