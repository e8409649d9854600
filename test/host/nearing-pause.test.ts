import { describe, expect, test } from 'vitest';
import type { Manifest } from '../../src/host/manifest.js';
import { isNearingPause } from '../../src/host/nearing-pause.js';
import type { SandboxSpec, SandboxView } from '../../workflows/view.js';

const NOW = 1_000_000;
const SECOND = 1_000;

type Change = { spec?: Partial<SandboxSpec>; view?: Partial<SandboxView>; manifest?: Partial<Manifest> };

/** By default: 20 s before its timeout of 5 minutes, and quiet since it began. */
function isNear(leftMs: number, idleForMs: number, { spec, view, manifest }: Change = {}): boolean {
  const sandbox = {
    ...{ generation: 3, phase: { name: 'running' }, ...manifest },
    view: {
      status: 'running',
      endAt: NOW + leftMs,
      spec: { timeoutMs: 300 * SECOND, onTimeout: 'pause', ...spec },
      ...view,
    },
  } as Manifest;
  return isNearingPause(sandbox, { idleForMs, now: NOW, leadMs: 30 * SECOND });
}

describe('a sandbox is about to be paused by its timeout', () => {
  test('when little is left of it, and it has been quiet for long', () => {
    expect(isNear(20 * SECOND, 280 * SECOND)).toBe(true);
    expect(isNear(31 * SECOND, 269 * SECOND)).toBe(false);
    expect(isNear(0, 300 * SECOND)).toBe(false);
  });

  test('not when it is in use now and then: it would be found active', () => {
    expect(isNear(5 * SECOND, 20 * SECOND)).toBe(false);
    expect(isNear(5 * SECOND, 30 * SECOND)).toBe(true);
  });

  test('with a short timeout, when half of that has passed quietly', () => {
    const short = { spec: { timeoutMs: 10 * SECOND } };
    expect(isNear(6 * SECOND, 4 * SECOND, short)).toBe(false);
    expect(isNear(5 * SECOND, 5 * SECOND, short)).toBe(true);
  });

  test.each<[string, Change]>([
    ['whose timeout ends it', { spec: { onTimeout: 'kill' } }],
    ['whose pause keeps the disk alone', { spec: { autoPauseKeeps: 'disk' } }],
    ['that nobody owns yet', { spec: { warm: true } }],
    ['that is being paused', { manifest: { phase: { name: 'saving' } } }],
    ['that is asleep', { view: { status: 'paused' } }],
    ['whose memory was sealed in this generation', { manifest: { basis: { generation: 3, digest: 'd', files: [3] } } }],
  ])('not one %s', (_, change) => {
    expect(isNear(20 * SECOND, 280 * SECOND, change)).toBe(false);
  });

  test('also one that has been paused before', () => {
    expect(isNear(20 * SECOND, 280 * SECOND, { manifest: { basis: { generation: 2, digest: 'd', files: [2] } } })).toBe(
      true,
    );
  });
});
