import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SandboxSpec } from '../../workflows/view.js';
import { WorkflowEnvironment } from './environment.js';
import type { FakeHost } from './fake-host.js';

let environment: WorkflowEnvironment;
beforeAll(async () => {
  environment = await WorkflowEnvironment.start();
}, 120_000);
afterAll(() => environment.stop());

/** A warm machine that waits, and what a create of tenant `t` would make of it. */
async function warm(host: FakeHost, change: Partial<SandboxSpec> = {}): Promise<SandboxSpec> {
  const waiting = environment.spec(host, { tenant: '', warm: true, timeoutMs: 0, allowInternetAccess: false });
  await environment.client.create(waiting, {});
  const { warm: _mark, ...spec } = { ...waiting, tenant: 't', timeoutMs: 60_000, allowInternetAccess: true, ...change };
  return spec;
}

const attributes = async (id: string): Promise<unknown> => (await environment.handle(id).describe()).searchAttributes;

test('a warm machine waits without a deadline, and becomes the sandbox of the create that asks', async () => {
  const host = await environment.host();
  const spec = await warm(host, { metadata: { a: '1' }, onTimeout: 'pause', autoResume: true });
  await expect.poll(() => attributes(spec.id)).toMatchObject({ SandboxStatus: ['warm'] });
  expect(await attributes(spec.id)).not.toHaveProperty('SandboxTenant');
  const before = Date.now();
  const view = await environment.client.assign(spec);
  expect(view).toMatchObject({ spec, status: 'running', generation: 2 });
  expect(view.startedAt).toBeGreaterThanOrEqual(before - 1_000);
  expect(view.endAt - view.startedAt).toBe(60_000);
  expect(host.views.get(spec.id)).toMatchObject({ spec, status: 'running', endAt: view.endAt });
  await expect.poll(() => attributes(spec.id)).toMatchObject({ SandboxStatus: ['running'], SandboxTenant: ['t'] });
  expect(await environment.client.pause(spec.id)).toMatchObject({ status: 'paused', image: { generation: 3 } });
  expect(await environment.client.resume(spec.id, {})).toMatchObject({ resumed: true });
  await environment.client.kill(spec.id);
  expect(host.calls).toEqual(['createVm 1', 'assignVm 2', 'pauseVm 3', 'resumeVm 4 of 3', 'destroyVm 5']);
});

test('of many creates that ask for one warm machine exactly one gets it, with its own tenant', async () => {
  const host = await environment.host();
  const spec = await warm(host);
  const asked = ['a', 'b', 'c', 'd', 'e', 'f'].map((tenant) => environment.client.assign({ ...spec, tenant }));
  const answers = await Promise.allSettled(asked);
  const won = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  const lost = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason as { code: string }] : []));
  expect(won).toHaveLength(1);
  expect(lost.map(({ code }) => code)).toEqual(Array(5).fill('NotWarm'));
  expect((await environment.client.get(spec.id))?.spec.tenant).toBe(won[0]!.spec.tenant);
  expect(host.calls).toEqual(['createVm 1', 'assignVm 2']);
  await environment.client.kill(spec.id);
});

test('its deadline is that of the create, counted from then', async () => {
  const host = await environment.host();
  const spec = await warm(host, { timeoutMs: 700 });
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect(await environment.client.get(spec.id)).toMatchObject({ status: 'running' });
  // On a busy machine the deadline passes before its answer is made.
  const assigning = environment.client
    .assign(spec)
    .catch((error: unknown) => expect(error).toMatchObject({ code: expect.stringMatching(/^(Superseded|NotFound)$/) }));
  expect(await environment.handle(spec.id).result()).toMatchObject({ reason: 'its timeout has passed' });
  await assigning;
});

test('a warm machine ignores pause, resume and setTimeout, as signals and as updates; a kill ends it', async () => {
  const host = await environment.host();
  const spec = await warm(host);
  const handle = environment.handle(spec.id);
  await handle.signal('pause');
  await handle.signal('resume', { timeoutMs: 1 });
  await handle.signal('setTimeout', { timeoutMs: 1 });
  for (const ask of [
    () => environment.client.pause(spec.id),
    () => environment.client.resume(spec.id, {}),
    () => environment.client.setTimeout(spec.id, { timeoutMs: 1 }),
  ])
    await expect(ask()).rejects.toMatchObject({ code: 'NotFound' });
  expect(await environment.client.get(spec.id)).toMatchObject({ status: 'running', generation: 1 });
  await handle.signal('kill');
  expect(await handle.result()).toMatchObject({ status: 'killed' });
  await expect(environment.client.assign(spec)).rejects.toMatchObject({ code: 'NotFound' });
  expect(host.calls).toEqual(['createVm 1', 'destroyVm 2']);
});

test('what is discarded is gone when that is answered, and cannot be had; what was taken cannot be discarded', async () => {
  const host = await environment.host();
  const spec = await warm(host);
  expect(await environment.client.discard(spec.id, 'too many')).toMatchObject({ status: 'killed' });
  expect(host.calls).toEqual(['createVm 1', 'destroyVm 2']);
  const other = await warm(host);
  await environment.client.assign(other);
  await expect(environment.client.discard(other.id, 'too many')).rejects.toMatchObject({ code: 'NotWarm' });
  expect(await environment.client.get(other.id)).toMatchObject({ status: 'running', generation: 2 });
  await environment.client.kill(other.id);
});

test('one that is still being made can be discarded, and cannot be had yet', async () => {
  const host = await environment.host();
  host.holds.createVm = new Promise(() => undefined);
  const spec = environment.spec(host, { warm: true });
  const making = environment.client.create(spec, {}).catch((error: unknown) => error);
  await expect.poll(() => host.calls).toEqual(['createVm 1']);
  const { warm: _mark, ...wanted } = spec;
  await expect(environment.client.assign(wanted)).rejects.toMatchObject({ code: 'NotWarm' });
  expect(await environment.client.discard(spec.id, 'room')).toMatchObject({ status: 'killed' });
  expect(await making).toMatchObject({ code: 'NotFound' });
});

test('a machine that cannot become the sandbox is destroyed, and the create is told why', async () => {
  const host = await environment.host();
  const spec = await warm(host);
  host.failures.assignVm = ['CreateFailed'];
  await expect(environment.client.assign(spec)).rejects.toMatchObject({ code: 'CreateFailed' });
  expect(await environment.handle(spec.id).result()).toMatchObject({ status: 'failed' });
  expect(host.calls).toEqual(['createVm 1', 'assignVm 2', 'destroyVm 3']);
});

test('a kill during the assignment ends the sandbox, and the create hears Superseded', async () => {
  const host = await environment.host();
  const spec = await warm(host);
  host.holds.assignVm = new Promise(() => undefined);
  const told = expect(environment.client.assign(spec)).rejects.toMatchObject({ code: 'Superseded' });
  await expect.poll(() => host.calls.at(-1)).toBe('assignVm 2');
  expect(await environment.client.kill(spec.id)).toMatchObject({ status: 'killed' });
  await told;
});

test('a spec of another machine is refused, and a warm machine whose own machine ended is no more', async () => {
  const host = await environment.host();
  const spec = await warm(host);
  for (const wrong of [{ templateKey: 'other' }, { memoryMiB: 1 }, { hostId: 'other' }, { warm: true as const }])
    await expect(environment.client.assign({ ...spec, ...wrong })).rejects.toMatchObject({ code: 'InvalidRequest' });
  await environment.client.machineEnded(spec.id, 1, 'QEMU died');
  expect(await environment.handle(spec.id).result()).toMatchObject({ status: 'failed' });
});
