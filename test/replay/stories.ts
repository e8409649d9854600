import { expect } from 'vitest';
import type { WorkflowEnvironment } from '../workflows/environment.js';
import type { FakeHost } from '../workflows/fake-host.js';

type Environment = WorkflowEnvironment;

/** One life of a sandbox: played on a real Temporal for its history, which later code must replay without a change. */
export interface Story {
  name: string;
  /** Events after which Temporal suggests to continue as new. */
  suggestContinueAsNewAt?: number;
  /** @returns the sandbox's id. Checks what it did: a story that went wrong must not become the measure. */
  play(environment: Environment): Promise<string>;
}

const pausesAre = (host: FakeHost, count: number) =>
  expect
    .poll(() => host.calls.filter((call) => call.startsWith('pauseVm')).length, { timeout: 20_000 })
    .toBeGreaterThanOrEqual(count);

const statusIs = (environment: Environment, id: string, status: string) =>
  expect.poll(async () => (await environment.client.get(id))?.status, { timeout: 20_000 }).toBe(status);

const endsAs = async (environment: Environment, id: string, status: string): Promise<void> =>
  expect(await environment.handle(id).result()).toMatchObject({ status });

export const STORIES: Story[] = [
  {
    name: 'create-kill',
    async play(environment) {
      const spec = environment.spec(await environment.host());
      await environment.client.create(spec, {});
      await environment.client.kill(spec.id);
      await endsAs(environment, spec.id, 'killed');
      return spec.id;
    },
  },
  {
    name: 'create-failed',
    async play(environment) {
      const host = await environment.host();
      host.failures.createVm = ['InsufficientCapacity'];
      const spec = environment.spec(host);
      await expect(environment.client.create(spec, {})).rejects.toMatchObject({ code: 'InsufficientCapacity' });
      await endsAs(environment, spec.id, 'failed');
      return spec.id;
    },
  },
  {
    name: 'pause-resume-three-times',
    async play(environment) {
      const spec = environment.spec(await environment.host());
      await environment.client.create(spec, {});
      for (let round = 0; round < 3; round++) {
        expect(await environment.client.pause(spec.id)).toMatchObject({ status: 'paused' });
        expect(await environment.client.resume(spec.id, {})).toMatchObject({ resumed: true });
      }
      await environment.client.setTimeout(spec.id, { timeoutMs: 600_000 });
      await environment.client.kill(spec.id);
      await endsAs(environment, spec.id, 'killed');
      return spec.id;
    },
  },
  {
    name: 'signals',
    async play(environment) {
      const spec = environment.spec(await environment.host());
      await environment.client.create(spec, {});
      const handle = environment.handle(spec.id);
      await handle.signal('no-such-signal');
      await handle.signal('setTimeout', 'soon');
      await handle.signal('pause');
      await statusIs(environment, spec.id, 'paused');
      await handle.signal('resume', { timeoutMs: 60_000 });
      await statusIs(environment, spec.id, 'running');
      await handle.signal('kill');
      await endsAs(environment, spec.id, 'killed');
      return spec.id;
    },
  },
  {
    name: 'pause-failed',
    async play(environment) {
      const host = await environment.host();
      host.failures.pauseVm = ['PauseFailed'];
      const spec = environment.spec(host);
      await environment.client.create(spec, {});
      await expect(environment.client.pause(spec.id)).rejects.toMatchObject({ code: 'PauseFailed' });
      expect(await environment.client.pause(spec.id)).toMatchObject({ status: 'paused' });
      await environment.client.kill(spec.id);
      await endsAs(environment, spec.id, 'killed');
      return spec.id;
    },
  },
  {
    name: 'resume-failed',
    async play(environment) {
      const host = await environment.host();
      const spec = environment.spec(host);
      await environment.client.create(spec, {});
      await environment.client.pause(spec.id);
      host.failures.resumeVm = ['ImageDamaged'];
      await expect(environment.client.resume(spec.id, {})).rejects.toMatchObject({ code: 'ImageDamaged' });
      expect(await environment.client.resume(spec.id, {})).toMatchObject({ resumed: true });
      await environment.client.kill(spec.id);
      await endsAs(environment, spec.id, 'killed');
      return spec.id;
    },
  },
  {
    name: 'pause-of-unknown-outcome',
    async play(environment) {
      const host = await environment.host();
      host.failures.pauseVm = ['HostFailure'];
      const spec = environment.spec(host);
      await environment.client.create(spec, {});
      await expect(environment.client.pause(spec.id)).rejects.toMatchObject({ code: 'OutcomeUnknown' });
      await statusIs(environment, spec.id, 'paused');
      await environment.client.kill(spec.id);
      await endsAs(environment, spec.id, 'killed');
      return spec.id;
    },
  },
  {
    name: 'pause-of-the-disk-alone',
    async play(environment) {
      const spec = environment.spec(await environment.host());
      await environment.client.create(spec, {});
      expect(await environment.client.pause(spec.id, { memory: false })).toMatchObject({ image: { kind: 'disk' } });
      expect(await environment.client.resume(spec.id, {})).toMatchObject({ resumed: true });
      await environment.client.kill(spec.id);
      await endsAs(environment, spec.id, 'killed');
      return spec.id;
    },
  },
  {
    name: 'pause-overtaken-by-connect',
    async play(environment) {
      const host = await environment.host();
      const spec = environment.spec(host);
      await environment.client.create(spec, {});
      let release = (): void => undefined;
      host.holds.pauseVm = new Promise((resolve) => (release = resolve));
      const pausing = expect(environment.client.pause(spec.id)).rejects.toMatchObject({ code: 'Superseded' });
      await pausesAre(host, 1);
      const resuming = environment.client.resume(spec.id, {});
      await pausing;
      release();
      expect(await resuming).toMatchObject({ resumed: true });
      await environment.client.kill(spec.id);
      await endsAs(environment, spec.id, 'killed');
      return spec.id;
    },
  },
  {
    name: 'killed-during-pause',
    async play(environment) {
      const host = await environment.host();
      const spec = environment.spec(host);
      await environment.client.create(spec, {});
      host.holds.pauseVm = new Promise(() => undefined);
      const told = expect(environment.client.pause(spec.id)).rejects.toMatchObject({ code: 'NotFound' });
      await pausesAre(host, 1);
      await environment.client.kill(spec.id);
      await told;
      await endsAs(environment, spec.id, 'killed');
      return spec.id;
    },
  },
  {
    name: 'auto-pause-busy-then-idle',
    async play(environment) {
      const host = await environment.host();
      host.idleForMs = 0;
      const spec = environment.spec(host, { onTimeout: 'pause', timeoutMs: 700 });
      await environment.client.create(spec, {});
      await pausesAre(host, 2);
      host.idleForMs = Number.MAX_SAFE_INTEGER;
      await statusIs(environment, spec.id, 'paused');
      await environment.client.kill(spec.id);
      await endsAs(environment, spec.id, 'killed');
      return spec.id;
    },
  },
  {
    name: 'killed-at-its-timeout',
    async play(environment) {
      const spec = environment.spec(await environment.host(), { timeoutMs: 500 });
      await environment.client.create(spec, {});
      await endsAs(environment, spec.id, 'killed');
      return spec.id;
    },
  },
  {
    name: 'expired-while-paused',
    async play(environment) {
      const spec = environment.spec(await environment.host(), { pausedRetentionMs: 500 });
      await environment.client.create(spec, {});
      await environment.client.pause(spec.id);
      await endsAs(environment, spec.id, 'killed');
      return spec.id;
    },
  },
  {
    name: 'machine-ended',
    async play(environment) {
      const spec = environment.spec(await environment.host());
      await environment.client.create(spec, {});
      await environment.client.machineEnded(spec.id, 0, 'a report of an earlier generation');
      await environment.client.machineEnded(spec.id, 1, 'QEMU died');
      await endsAs(environment, spec.id, 'failed');
      return spec.id;
    },
  },
  {
    name: 'cancelled',
    async play(environment) {
      const spec = environment.spec(await environment.host());
      await environment.client.create(spec, {});
      await environment.handle(spec.id).cancel();
      await endsAs(environment, spec.id, 'killed');
      return spec.id;
    },
  },
  {
    name: 'warm-taken',
    async play(environment) {
      const host = await environment.host();
      const waiting = environment.spec(host, { tenant: '', warm: true, timeoutMs: 0, pausedRetentionMs: 0 });
      await environment.client.create(waiting, {});
      await environment.handle(waiting.id).signal('pause');
      const spec = environment.spec(host, { id: waiting.id });
      expect(await environment.client.assign(spec)).toMatchObject({ status: 'running', generation: 2 });
      await expect(environment.client.assign(spec)).rejects.toMatchObject({ code: 'NotWarm' });
      expect(await environment.client.pause(spec.id)).toMatchObject({ status: 'paused' });
      expect(await environment.client.resume(spec.id, {})).toMatchObject({ resumed: true });
      await environment.client.kill(spec.id);
      await endsAs(environment, spec.id, 'killed');
      return spec.id;
    },
  },
  {
    name: 'warm-discarded',
    async play(environment) {
      const spec = environment.spec(await environment.host(), { tenant: '', warm: true, timeoutMs: 0 });
      await environment.client.create(spec, {});
      await environment.client.discard(spec.id, 'for a story');
      await endsAs(environment, spec.id, 'killed');
      return spec.id;
    },
  },
  {
    name: 'warm-not-usable',
    async play(environment) {
      const host = await environment.host();
      host.failures.assignVm = ['CreateFailed'];
      const waiting = environment.spec(host, { tenant: '', warm: true, timeoutMs: 0 });
      await environment.client.create(waiting, {});
      const spec = environment.spec(host, { id: waiting.id });
      await expect(environment.client.assign(spec)).rejects.toMatchObject({ code: 'CreateFailed' });
      await endsAs(environment, spec.id, 'failed');
      return spec.id;
    },
  },
  {
    name: 'continued-as-new',
    suggestContinueAsNewAt: 40,
    async play(environment) {
      const spec = environment.spec(await environment.host());
      await environment.client.create(spec, {});
      for (let round = 0; round < 4; round++) {
        await environment.client.pause(spec.id, { updateId: `pause-${round}` });
        await environment.client.resume(spec.id, {}, { updateId: `resume-${round}` });
      }
      await environment.client.kill(spec.id);
      await endsAs(environment, spec.id, 'killed');
      return spec.id;
    },
  },
];
