import { describe, expect, test } from 'vitest';
import type { Manifest } from '../../src/host/manifest.js';
import { isNearingPause } from '../../src/host/nearing-pause.js';
import type { SandboxSpec, SandboxView } from '../../workflows/view.js';

const NOW = 1_000_000;
const SECOND = 1_000;

type Change = { spec?: Partial<SandboxSpec>; view?: Partial<SandboxView>; manifest?: Partial<Manifest> };

/** Of a timeout of 5 minutes. */
function isNear(leftMs: number, idleForMs: number, { spec, view, manifest }: Change = {}): boolean {
  const sandbox = {
    ...{ generation: 3, phase: { name: 'running' }, ...manifest },
    view: {
      ...{ status: 'running', endAt: NOW + leftMs, timeoutMs: 300 * SECOND },
      spec: { onTimeout: 'pause', timeoutMs: 3_600 * SECOND, ...spec },
      ...view,
    },
  } as Manifest;
  return isNearingPause(sandbox, { idleForMs, now: NOW, leadMs: 30 * SECOND });
}

describe('a sandbox is about to be paused by its timeout', () => {
  test('when little is left of it, and all the rest was quiet', () => {
    expect(isNear(20 * SECOND, 280 * SECOND)).toBe(true);
    expect(isNear(20 * SECOND, 279.5 * SECOND)).toBe(true);
    expect(isNear(31 * SECOND, 269 * SECOND)).toBe(false);
    expect(isNear(0, 300 * SECOND)).toBe(false);
  });

  test('not when it was used since: it would be found active, and go on', () => {
    expect(isNear(20 * SECOND, 270 * SECOND)).toBe(false);
    expect(isNear(5 * SECOND, 60 * SECOND)).toBe(false);
  });

  test('with a short timeout not before half of it is over, also one that nobody ever used', () => {
    const short = { view: { timeoutMs: 10 * SECOND } };
    expect(isNear(9 * SECOND, 3_600 * SECOND, short)).toBe(false);
    expect(isNear(6 * SECOND, 4 * SECOND, short)).toBe(false);
    expect(isNear(5 * SECOND, 5 * SECOND, short)).toBe(true);
    expect(isNear(5 * SECOND, 3_600 * SECOND, short)).toBe(true);
  });

  test.each<[string, Change]>([
    ['whose timeout ends it', { spec: { onTimeout: 'kill' } }],
    ['whose pause keeps the disk alone', { spec: { autoPauseKeeps: 'disk' } }],
    ['that nobody owns yet', { spec: { warm: true } }],
    ['that is being paused', { manifest: { phase: { name: 'saving' } } }],
    ['that is asleep', { view: { status: 'paused' } }],
    ['whose timeout this host was not told', { view: { timeoutMs: undefined as never } }],
    ['whose memory was sealed in this generation', { manifest: { basis: { generation: 3, digest: 'd', files: [3] } } }],
  ])('not one %s', (_, change) => {
    expect(isNear(20 * SECOND, 280 * SECOND, change)).toBe(false);
  });

  test('also one that has been paused before', () => {
    const basis = { generation: 2, digest: 'd', files: [2] };
    expect(isNear(20 * SECOND, 280 * SECOND, { manifest: { basis } })).toBe(true);
  });
});
