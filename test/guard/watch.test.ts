import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { followChanges } from '../../src/guard/follow-changes.js';
import { openGuard } from '../../src/guard/guard.js';
import { Passts } from '../../src/guard/passts.js';
import { onHost } from '../../src/guard/run.js';
import type { GuardRules } from '../../src/guard/rules.js';
import { GuardWatch } from '../../src/guard/watch.js';

const UID = 1_900_000_301;
const wall = { ensure: async () => undefined };

/** In the order in which it happened. */
let did: string[];
beforeEach(() => (did = []));
const guests = {
  stop: async () => did.push('stop'),
  letRun: async () => did.push('let run'),
};
const log = { warn: () => undefined, error: (_: object, message: string) => void did.push(message.split(':')[0]!) };

/** A watch of a guard whose looks end as given, one after the other. */
function watchOf(...looks: ((isOpen?: () => void) => Promise<string | undefined>)[]): GuardWatch {
  const ensure = (isOpen?: () => void): Promise<string | undefined> => looks.shift()!(isOpen);
  return new GuardWatch({ guard: { ensure }, wall, guests, log, putBackWithinMs: 20 });
}
const fine = async (): Promise<undefined> => undefined;
const noAnswer = (): Promise<never> => Promise.reject(new Error('nft does not answer'));
const cannotPutBack = (isOpen?: () => void): Promise<never> => {
  isOpen?.();
  return Promise.reject(new Error('nft refuses'));
};

describe('guests', () => {
  test('that were left stopped by a host worker that died go on once the guard is in place', async () => {
    const watch = watchOf(fine, fine);
    await watch.look();
    await watch.look();
    expect(did).toEqual(['let run']);
  });

  test('are stopped while the guard cannot be put back, and go on when it is', async () => {
    const watch = watchOf(fine, cannotPutBack, cannotPutBack, async (isOpen) => {
      isOpen?.();
      return 'put back';
    });
    await watch.look();
    expect(watch.isStopped).toBe(false);
    await watch.look();
    expect(did).toEqual(['let run', 'stop', 'the network guard is not in place']);
    expect(watch.isStopped).toBe(true);
    await watch.look();
    expect(watch.isStopped).toBe(true);
    did = [];
    await watch.look();
    expect(did).toEqual(['let run']);
    expect(watch.isStopped).toBe(false);
  });

  test('are stopped while it takes long to put it back', async () => {
    let done!: () => void;
    const watch = watchOf(fine, (isOpen) => {
      isOpen?.();
      return new Promise((resolve) => (done = () => resolve('put back')));
    });
    await watch.look();
    did = [];
    const look = watch.look();
    await vi.waitUntil(() => did.includes('stop'));
    expect(did).not.toContain('let run');
    done();
    await look;
    expect(did.at(-1)).toBe('let run');
  });

  test('run on when nft does not answer one question, and not when it answers none', async () => {
    const watch = watchOf(fine, noAnswer, fine, noAnswer, noAnswer);
    await watch.look();
    await watch.look();
    expect(did).toEqual(['let run']);
    await watch.look();
    expect(did).toContain('stop');
  });

  test('run on when only the wall behind the guard is missing', async () => {
    const broken = { ensure: () => Promise.reject(new Error('ip refuses')) };
    const watch = new GuardWatch({ guard: { ensure: fine }, wall: broken, guests, log });
    await watch.look();
    await watch.lookAtWall();
    expect(did).toEqual(['let run', 'the wall behind the network guard is not in place; it is tried again']);
  });
});

test('what happens during a look is looked at by another one', async () => {
  let looks = 0;
  let finish!: () => void;
  const watch = watchOf(
    () => new Promise((resolve) => (finish = () => resolve(undefined))),
    async () => void looks++,
  );
  const both = [watch.look(), watch.look()];
  finish();
  await Promise.all(both);
  expect(looks).toBe(1);
});

describe("a guest's way to the network", () => {
  const running: ChildProcess[] = [];
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'passt-'));
  });
  afterEach(async () => {
    for (const child of running.splice(0)) child.kill('SIGKILL');
    await rm(directory, { recursive: true });
  });

  const start = async (program: string, uid: number): Promise<number> => {
    const file = path.join(directory, program);
    await copyFile('/bin/sleep', file);
    await onHost('chmod', ['755', directory, file]);
    const user = ['--reuid', String(uid), '--regid', String(uid), '--clear-groups'];
    const child = spawn('setpriv', [...user, file, '60']);
    running.push(child);
    await once(child, 'spawn');
    await vi.waitUntil(async () =>
      (await readFile(`/proc/${child.pid}/comm`, 'utf8')).startsWith(program.slice(0, 15)),
    );
    return child.pid!;
  };
  const stateOf = async (pid: number): Promise<string> =>
    /^State:\s+(\S)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))![1]!;

  test('is stopped and goes on; its QEMU, and what other users run, runs on', async () => {
    const [passt, qemu, other] = [
      await start('passt', UID),
      await start('qemu-system-x', UID),
      await start('passt.x', UID + 1),
    ];
    const passts = new Passts([UID, UID]);
    expect(await passts.stop()).toBe(1);
    await vi.waitUntil(async () => (await stateOf(passt)) === 'T');
    expect([await stateOf(qemu), await stateOf(other)]).toEqual(['S', 'S']);
    expect(await passts.letRun()).toBe(1);
    await vi.waitUntil(async () => (await stateOf(passt)) === 'S');
  });
});

describe('the guard that is watched', () => {
  const rules: GuardRules = {
    ...{ table: `dormouse_watch_${process.pid}`, uids: [UID, UID], qemuUid: UID + 1, allowSmtp: false },
    ...{ agents: { network: '127.64.0.0/10', port: 8084 }, resolvers: [], allowPrivate: [] },
  };
  const guard = openGuard({ wanted: async () => rules });
  const watch = new GuardWatch({ guard, wall, guests, log });
  let unfollow: () => void;
  beforeAll(async () => {
    await guard.ensure();
    unfollow = followChanges(rules.table, () => void watch.look());
  });
  afterAll(async () => {
    unfollow();
    await watch.look();
    await guard.remove();
  });

  const isThere = (): Promise<boolean> =>
    guard.check().then(
      () => true,
      () => false,
    );

  test('is back without anybody else asking for it when its table is removed, with who has no internet', async () => {
    await guard.setInternet(UID, false);
    await guard.remove();
    await vi.waitUntil(isThere, { timeout: 20_000, interval: 100 });
    expect(await onHost('nft', ['list', 'set', 'inet', rules.table, 'no_internet'])).toContain(String(UID));
  });
});
