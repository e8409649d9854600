import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ROTATE_POINTS } from '../../activities/crash-points.js';
import { rotateTokens } from '../../activities/rotate-tokens.js';
import { wakeGuest } from '../../activities/wake-guest.js';
import { accessToken, newTokenNonce } from '../../src/keys/access-token.js';
import { HostScene } from './host-scene.js';

let scene: HostScene;
beforeEach(async () => {
  scene = await HostScene.start();
  await scene.running();
});
afterEach(() => scene.stop());

const never = new AbortController().signal;
const token = (tokenNonce?: string): string =>
  accessToken(scene.context.masterKey.derive('tokens'), { id: scene.id, tokenNonce });

/** What the agent was shown and told at its last init. */
const lastInit = (): unknown[] => {
  const last = scene.asked.findLast(({ path }) => path === '/init')!;
  return [last.token, (JSON.parse(last.body) as { accessToken: string }).accessToken];
};

test('a sandbox of the version before wakes with the token that it always had', async () => {
  await wakeGuest(scene.context, scene.manifest, never);
  expect(lastInit()).toEqual([token(), token()]);
});

test('every wake of a sandbox tells its agent the same machine id', async () => {
  const ids = [];
  for (let time = 0; time < 2; time++) {
    await wakeGuest(scene.context, scene.manifest, never);
    ids.push((JSON.parse(scene.asked.at(-1)!.body) as { machineId: string }).machineId);
  }
  expect(ids).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/), ids[0]]);
});

test('an agent that knows an older token is shown that one and told the new one, once', async () => {
  const [first, second] = [newTokenNonce(), newTokenNonce()];
  for (const [before, tokenNonce] of [
    [undefined, first],
    [first, second],
    [second, second],
  ] as const) {
    const view = { ...scene.manifest.view, spec: { ...scene.spec, tokenNonce } };
    await wakeGuest(scene.context, await scene.context.index.change(scene.id, { view }), never);
    expect(lastInit()).toEqual([token(before), token(tokenNonce)]);
    await scene.restart();
    expect(scene.manifest.agentNonce).toBe(tokenNonce);
  }
});

test('an agent that was told of it by an attempt that died is shown the new one, too', async () => {
  const tokenNonce = newTokenNonce();
  const view = { ...scene.manifest.view, spec: { ...scene.spec, tokenNonce } };
  const manifest = await scene.context.index.change(scene.id, { view });
  scene.knownToken = token(tokenNonce);
  await wakeGuest(scene.context, manifest, never);
  expect(lastInit()).toEqual([token(tokenNonce), token(tokenNonce)]);
});

describe('a rotation of tokens', () => {
  const tokenNonce = newTokenNonce();
  const rotate = (nonce = tokenNonce, tenant = 't', generation = 1): Promise<void> =>
    rotateTokens(scene.context, { id: scene.id, tenant, generation, tokenNonce: nonce }, never);
  const nonces = (): unknown[] => [scene.manifest.view.spec.tokenNonce, scene.manifest.agentNonce];

  test('tells the agent of a running sandbox, and cuts what is open', async () => {
    let cut = false;
    scene.traffic.track(scene.id, () => (cut = true));
    await rotate();
    expect(lastInit()).toEqual([token(), token(tokenNonce)]);
    expect([...nonces(), cut]).toEqual([tokenNonce, tokenNonce, true]);
    await scene.restart();
    expect(nonces()).toEqual([tokenNonce, tokenNonce]);
  });

  test.each(ROTATE_POINTS)('by a host worker that dies at %s is finished by the second run', async (point) => {
    scene.failAt(point);
    await expect(rotate()).rejects.toThrow(`at ${point}`);
    if (point !== 'rotate.begun' && point !== 'rotate.noted') scene.knownToken = token(tokenNonce);
    scene.reached = () => undefined;
    await scene.restart();
    await rotate();
    expect(lastInit()[1]).toBe(token(tokenNonce));
    expect(nonces()).toEqual([tokenNonce, tokenNonce]);
  });

  describe('that the agent was told, and nobody heard of it,', () => {
    beforeEach(async () => {
      scene.failAt('rotate.agent-told');
      await expect(rotate()).rejects.toThrow('at rotate.agent-told');
      scene.knownToken = token(tokenNonce);
      scene.reached = () => undefined;
      await scene.restart();
    });

    test('locks nobody out when another rotation is asked for instead', async () => {
      const next = newTokenNonce();
      await rotate(next);
      expect(lastInit()).toEqual([token(tokenNonce), token(next)]);
      expect([...nonces(), scene.manifest.agentMayKnow]).toEqual([next, next, undefined]);
    });

    test('is taken back by a wake with the token of before', async () => {
      await wakeGuest(scene.context, scene.manifest, never);
      expect(lastInit()).toEqual([token(tokenNonce), token()]);
      await scene.restart();
      expect([...nonces(), scene.manifest.agentMayKnow]).toEqual([undefined, undefined, undefined]);
    });
  });

  test('of a sleeping sandbox asks no agent; however many there were, the next wake shows the token of before', async () => {
    await scene.context.index.change(scene.id, { phase: { name: 'saved' }, slot: null });
    const last = newTokenNonce();
    for (const nonce of [tokenNonce, last]) await rotate(nonce);
    expect([nonces(), scene.asked]).toEqual([[last, undefined], []]);
    await scene.running(2);
    const { manifest } = scene;
    const view = { ...manifest.view, spec: { ...scene.spec, tokenNonce: last } };
    await wakeGuest(scene.context, await scene.context.index.change(scene.id, { view }), never);
    expect(lastInit()).toEqual([token(), token(last)]);
  });

  test('is not done as long as the agent does not know of it, or for an older caller or another tenant', async () => {
    scene.agentSays['/init'] = 500;
    await expect(rotate()).rejects.toThrow();
    await expect(rotate(tokenNonce, 'other')).rejects.toMatchObject({ type: 'ImageDamaged' });
    await expect(rotate(tokenNonce, 't', 0)).rejects.toMatchObject({ type: 'StaleGeneration' });
    await scene.context.index.change(scene.id, { phase: { name: 'saving' } });
    await expect(rotate()).rejects.toMatchObject({ type: 'HostFailure' });
    expect(nonces()).toEqual([undefined, undefined]);
  });
});
