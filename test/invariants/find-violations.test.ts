import { describe, expect, it } from 'vitest';
import { findViolations } from '../../src/invariants/find-violations.js';
import type { Observation } from '../../src/invariants/observation.js';
import type { Violation } from '../../src/invariants/violation.js';
import type { SandboxStatus, SandboxView } from '../../workflows/view.js';

const NOW = 1_000_000_000;
const EMPTY: Observation = {
  ...{ at: NOW, workflows: [], domains: [], processes: [], sandboxes: [], memory: [], pool: [], misplaced: [] },
  ...{ top: [], secrets: [], claims: [], deniedSlots: [] },
};
const view = (status: SandboxStatus, image?: number): SandboxView =>
  ({
    ...{ status, generation: 3 },
    ...(image === undefined ? {} : { image: { generation: image, digest: `digest-${image}`, bytes: 1, savedAt: 1 } }),
  }) as SandboxView;

/** A running sandbox `a` and a paused one `b`, with all that they should have. */
const healthy = (): Observation => ({
  ...EMPTY,
  workflows: [
    { id: 'a', run: 'open', view: view('running') },
    { id: 'b', run: 'open', view: view('paused', 2) },
  ],
  domains: [{ name: 'dormouse-a', id: 'a', state: 'running' }],
  processes: [
    { pid: 10, kind: 'qemu', id: 'a' },
    { pid: 11, kind: 'passt', id: 'a' },
  ],
  sandboxes: [
    {
      ...{
        id: 'a',
        name: 'a',
        changedAt: 1,
        files: ['key.wrapped', 'log.jsonl', 'manifest.json', 'metrics.jsonl', 'overlay.qcow2'],
      },
      manifest: { generation: 3, phase: 'running', slot: 0, allowInternetAccess: true },
    },
    {
      ...{ id: 'b', name: 'b', changedAt: 1 },
      files: ['image-2.sealed', 'key.wrapped', 'manifest.json', 'overlay.qcow2'],
      manifest: {
        ...{ generation: 2, phase: 'saved', slot: null, allowInternetAccess: true },
        image: { generation: 2 },
      },
      digests: { 'image-2.sealed': 'digest-2' },
    },
  ],
  memory: [{ id: 'a', name: 'a', changedAt: 1, files: ['qmp', 'ram'], completeSave: false }],
  pool: [{ name: 'abcdefgh12.0a1b', changedAt: 1 }],
  top: [
    'sandboxes',
    'memory',
    'overlays',
    'logs',
    'temporal.db',
    'master.key',
    'master.key.0288649e5b883ea9.manifests-signed.json',
    'api-keys.json',
    'tenants.json',
    'operator.key',
    'tls',
    'manifests-signed.json',
    'host.lock',
  ].map((name) => ({
    ...{ name, changedAt: 1 },
  })),
  secrets: [{ uuid: 'u-a', id: 'a' }],
  claims: [{ slot: 0, id: 'a' }],
});

/** The healthy world, changed by hand. */
function broken(change: (seen: Observation) => void): Violation[] {
  const seen = structuredClone(healthy());
  change(seen);
  return findViolations(seen);
}
const running = (seen: Observation) => seen.sandboxes[0]!;
const paused = (seen: Observation) => seen.sandboxes[1]!;

describe('the comparison of what there is', () => {
  it('finds nothing where everything is as it should be', () => {
    expect(findViolations(healthy())).toEqual([]);
    expect(findViolations(EMPTY)).toEqual([]);
  });

  it('finds nothing wrong with the files that the next pause builds on, nor with those that an image refers to', () => {
    const found = broken((seen) => {
      running(seen).manifest!.basis = { generation: 2, files: [2, 1] };
      running(seen).files.push('image-1.sealed', 'image-2.sealed');
      paused(seen).manifest!.basis = { generation: 2, files: [2, 1] };
      paused(seen).files.push('image-1.sealed');
    });
    expect(found).toEqual([]);
  });

  it('finds nothing wrong with an image that is being written, and does once nobody writes to it any more', () => {
    const draft = 'image-3.sealed.00112233445566aa.tmp';
    const written = (ago: number): Violation[] =>
      broken((seen) => Object.assign(running(seen), { changedAt: NOW - ago }).files.push(draft));
    expect(written(9_000)).toEqual([]);
    expect(written(11_000)).toMatchObject([{ invariant: 7, repair: { kind: 'remove-file', id: 'a', name: draft } }]);
  });

  describe('of a sandbox whose manifest is damaged', () => {
    const damaged = (change: (seen: Observation) => void): Violation[] =>
      broken((seen) => {
        delete paused(seen).manifest;
        paused(seen).damage = '/s/sandboxes/b/manifest.json is not as this service wrote it';
        paused(seen).files.push('image-1.sealed', 'image-2.sealed.00112233445566aa.tmp');
        seen.secrets.push({ uuid: 'u-b', id: 'b' });
        seen.processes.push({ pid: 12, kind: 'passt', id: 'b' });
        change(seen);
      });

    it('says so, whatever its workflow does, and lets nothing of it be repaired', () => {
      const found = damaged(() => undefined);
      expect(found).toEqual([
        {
          ...{ invariant: 9, sandbox: 'b', what: expect.stringMatching(/^sandbox b: .*not as this service wrote it/) },
          todo: expect.stringMatching(/touches nothing.*master key.*bring the manifest back.*or kill the sandbox/),
        },
      ]);
    });

    it('tells how to be rid of it when its workflow has ended or is unknown', () => {
      for (const run of ['ended', 'unknown'] as const) {
        const found = damaged((seen) => (seen.workflows[1] = { id: 'b', run }));
        expect(found).toEqual([
          {
            ...{ invariant: 9, sandbox: 'b' },
            what: expect.any(String),
            todo: expect.stringMatching(/remove its manifest/),
          },
        ]);
      }
    });

    it('still finds two machines of it', () => {
      const domain = { id: 'b', state: 'running' };
      const found = damaged((seen) => seen.domains.push({ name: 'x', ...domain }, { name: 'y', ...domain }));
      expect(found.map(({ invariant, repair }) => [invariant, repair])).toEqual([
        [2, undefined],
        [9, undefined],
      ]);
    });
  });

  const cases: [string, (seen: Observation) => void, number, RegExp, string?][] = [
    ['a running sandbox without a machine', (s) => (s.domains = s.processes = []), 1, /has no machine/],
    ['a running sandbox whose machine stands', (s) => (s.domains[0]!.state = 'paused'), 1, /"paused"/],
    [
      'a machine of a paused sandbox',
      (s) => s.domains.push({ name: 'dormouse-b', id: 'b', state: 'running' }),
      1,
      /b is paused, and there is still domain/,
      'clear-workspace',
    ],
    ['a QEMU that libvirt does not know', (s) => (s.domains = []), 1, /qemu process 10 runs without/, 'kill-process'],
    ['two QEMUs of one sandbox', (s) => s.processes.push({ pid: 12, kind: 'qemu', id: 'a' }), 2, /more than one/],
    ['a slot that another holds', (s) => (s.claims = [{ slot: 4, id: 'a' }]), 2, /its slot 0 is not/],
    ['a missing image', (s) => (paused(s).files = paused(s).files.slice(1)), 3, /image-2.sealed is missing/],
    ['a missing key', (s) => (paused(s).files = paused(s).files.filter((f) => f !== 'key.wrapped')), 3, /key/],
    ['an image with other bytes', (s) => (paused(s).digests!['image-2.sealed'] = 'x'), 3, /is not what was saved/],
    ['an older manifest', (s) => (paused(s).manifest!.image!.generation = 1), 3, /names another image/],
    [
      'files of an ended sandbox',
      (s) => (s.workflows[1] = { id: 'b', run: 'ended' }),
      4,
      /workflow has ended.*wrapped key.*directory/,
      'destroy',
    ],
    [
      'a machine whose workflow is unknown',
      (s) => (s.workflows[0] = { id: 'a', run: 'unknown' }),
      4,
      /does not know.*domain.*qemu.*passt.*secret.*slot 0/,
      'destroy',
    ],
    ['a secret of nobody', (s) => s.secrets.push({ uuid: 'u-z', id: 'z' }), 4, /z.*secret u-z/, 'destroy'],
    [
      'a pause that does not end',
      (s) => Object.assign(s.workflows[0]!, { view: view('pausing'), stepSince: NOW - 301_000 }),
      5,
      /pausing for more than 300 s/,
    ],
    ['a manifest that lags behind', (s) => (running(s).manifest!.phase = 'saving'), 5, /"saving"/],
    ['a restore in a paused sandbox', (s) => (paused(s).manifest!.phase = 'restoring'), 5, /"restoring"/],
    ['a dead image', (s) => running(s).files.push('image-2.sealed'), 6, /dead image/, 'remove-file'],
    ['an older image', (s) => paused(s).files.push('image-1.sealed'), 6, /older image/, 'remove-file'],
    [
      'an image that a running guest does not build on',
      (s) => {
        running(s).manifest!.basis = { generation: 2, files: [2, 1] };
        running(s).files.push('image-1.sealed', 'image-2.sealed', 'image-3.sealed');
      },
      6,
      /dead image image-3.sealed/,
      'remove-file',
    ],
    [
      'a missing file that an image refers to',
      (s) => (paused(s).manifest!.basis = { generation: 2, files: [2, 1] }),
      3,
      /image-1.sealed is missing/,
    ],
    ['device state beside a running guest', (s) => (s.memory[0]!.completeSave = true), 6, /device state/],
    ['a draft', (s) => paused(s).files.push('manifest.json.0f.tmp'), 7, /0f.tmp is no part/, 'remove-file'],
    ['a claimed overlay', (s) => s.pool.push({ name: 'claimed-1', changedAt: 1 }), 7, /half-made/, 'remove-pool-entry'],
    ['something on top', (s) => s.top.push({ name: 'stray', changedAt: 1 }), 7, /stray in the state directory/],
    [
      'strange memory',
      (s) => s.misplaced.push({ name: 'template-x', changedAt: 1, where: 'memory' }),
      7,
      /template-x/,
      'remove-memory',
    ],
  ];
  it.each(cases)('finds %s', (_what, change, invariant, words, repair) => {
    const found = broken(change);
    const hit = found.find((violation) => violation.invariant === invariant && words.test(violation.what));
    expect(hit, JSON.stringify(found)).toBeDefined();
    if (repair !== undefined) expect(hit!.repair?.kind).toBe(repair);
    expect(hit!.todo).not.toBe('');
  });

  it('asks for no image file of a sandbox that was paused with its disk alone', () => {
    const seen = broken((s) => {
      s.workflows[1]!.view = { ...view('paused'), image: { kind: 'disk', generation: 2, savedAt: 1 } };
      paused(s).files = paused(s).files.slice(1);
    });
    expect(seen).toEqual([]);
  });

  it('finds an image that is newer than the manifest, and leaves it: the manifest was put back', () => {
    const [hit] = broken((s) => paused(s).files.push('image-99.sealed'));
    expect(hit).toMatchObject({ invariant: 6, what: expect.stringMatching(/image-99.sealed is newer/) as string });
    expect(hit!.repair).toBeUndefined();
  });

  it('says nothing about the machine of a sandbox that is in the middle of a step', () => {
    for (const status of ['creating', 'pausing', 'resuming', 'killing'] as const) {
      expect(broken((s) => Object.assign(s.workflows[0]!, { view: view(status), stepSince: NOW - 1000 }))).toEqual([]);
    }
  });

  it('judges by the manifest where the workflow was not asked, as the reaper does', () => {
    const found = broken((s) => {
      for (const workflow of s.workflows) delete workflow.view;
      s.claims.push({ slot: 7, id: 'b' });
    });
    expect(found.map(({ repair }) => repair)).toEqual([{ kind: 'clear-workspace', id: 'b' }]);
  });
});

describe('the network guard', () => {
  it('must be there while a guest runs', () => {
    expect(broken((seen) => (seen.guard = 'missing')).map(({ invariant }) => invariant)).toEqual([8]);
    expect(broken((seen) => (seen.guard = 'there'))).toEqual([]);
  });

  it('may be missing while none does', () => {
    expect(findViolations({ ...EMPTY, guard: 'missing' })).toEqual([]);
  });
});
