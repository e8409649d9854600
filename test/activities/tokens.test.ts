import { afterEach, beforeEach, expect, test } from 'vitest';
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
