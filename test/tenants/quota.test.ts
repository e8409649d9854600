import { describe, expect, test } from 'vitest';
import { amountsOf, decidedOn, type Claim } from '../../src/tenants/amounts.js';
import { QUOTAS } from '../../src/tenants/limits.js';
import { fullQuota, textOfFull } from '../../src/tenants/quota.js';
import { NO_USE, type AwakeSandbox, type TenantUse } from '../../src/tenants/use.js';
import { NO_LIMITS } from './limits.js';

const size = { cpus: 2, memoryMiB: 512, diskMiB: 4096 };
const awake = (id: string, fallsAsleep = false): AwakeSandbox => ({ id, ...size, fallsAsleep });
const claim = (kind: Claim['kind'], id?: string, fallsAsleep = false): Claim => ({
  ...{ kind, ...size, fallsAsleep },
  ...(id === undefined ? {} : { id }),
});
const use = (running: AwakeSandbox[], sleeping = 0): TenantUse => ({
  awake: running,
  asleep: { count: sleeping, diskMiB: sleeping * 4096, bytes: sleeping * 100 * 1024 * 1024 },
});

test('what is awake counts with its machine, what sleeps with its disk and its bytes', () => {
  expect(amountsOf(use([awake('i1'), awake('i2')], 3))).toEqual({
    ...{ runningSandboxes: 2, cpus: 4, memoryMiB: 1024, diskMiB: 5 * 4096 },
    ...{ sleepingSandboxes: 3, sleepingMiB: 300 },
  });
});

test('what its timeout will pause has its place among the sleeping already', () => {
  expect(amountsOf(use([awake('i1', true)]))).toMatchObject({ sleepingSandboxes: 1, sleepingMiB: 512 });
});

describe('a claim counts once, whether the hosts show its sandbox already or not:', () => {
  test('a create', () => {
    const one = { runningSandboxes: 1, cpus: 2, memoryMiB: 512, diskMiB: 4096 };
    expect(amountsOf(NO_USE, [claim('create', 'i1')])).toMatchObject(one);
    expect(amountsOf(use([awake('i1')]), [claim('create', 'i1')])).toMatchObject(one);
  });

  test('a resume, whose disk is there while it sleeps', () => {
    const one = { runningSandboxes: 1, cpus: 2, memoryMiB: 512, diskMiB: 4096 };
    expect(amountsOf(use([], 1), [claim('resume', 'i1')])).toMatchObject(one);
    expect(amountsOf(use([awake('i1')]), [claim('resume', 'i1')])).toMatchObject(one);
  });

  test('a pause', () => {
    expect(amountsOf(use([awake('i1')]), [claim('pause', 'i1')])).toMatchObject({ sleepingSandboxes: 1 });
    expect(amountsOf(use([awake('i1', true)]), [claim('pause', 'i1', true)])).toMatchObject({ sleepingSandboxes: 1 });
    expect(amountsOf(use([], 1), [claim('pause', 'i1')])).toMatchObject({ sleepingSandboxes: 1 });
  });

  test('two of the same sandbox', () => {
    const twice = [claim('create', 'i1'), claim('create', 'i1')];
    expect(amountsOf(NO_USE, twice)).toMatchObject({ runningSandboxes: 1 });
  });

  test('while it is not known which sandboxes they become, all of them', () => {
    expect(amountsOf(NO_USE, [claim('create'), claim('create')])).toMatchObject({ runningSandboxes: 2 });
  });
});

test.each([
  ['runningSandboxes', 2],
  ['cpus', 5],
  ['memoryMiB', 1024 + 511],
  ['diskMiB', 3 * 4096 - 1],
] as const)('a quota of %s that has no room for another is named, with what is used of it', (quota, limit) => {
  const full = fullQuota({ ...NO_LIMITS, [quota]: limit }, use([awake('i1'), awake('i2')]), [], claim('create'));
  expect(full).toMatchObject({ quota, limit });
  expect(textOfFull(full!)).toContain(`${full!.used} of ${limit} are used`);
});

test('a quota that has room to the last unit lets it be taken', () => {
  const limits = { ...NO_LIMITS, ...{ runningSandboxes: 3, cpus: 6, memoryMiB: 1536, diskMiB: 3 * 4096 } };
  expect(fullQuota(limits, use([awake('i1'), awake('i2')]), [], claim('create'))).toBeUndefined();
});

test('a quota that was lowered below what is used stops only what needs more of it', () => {
  const limits = { ...NO_LIMITS, runningSandboxes: 0, sleepingSandboxes: 5 };
  const running = use([awake('i1')]);
  expect(fullQuota(limits, running, [], claim('create'))).toMatchObject({ quota: 'runningSandboxes' });
  expect(fullQuota(limits, running, [], claim('resume', 'i1'))).toBeUndefined();
  expect(fullQuota(limits, running, [], claim('pause', 'i1'))).toBeUndefined();
});

test('a pause needs a place among the sleeping, unless the sandbox has one by its timeout', () => {
  const limits = { ...NO_LIMITS, sleepingSandboxes: 1 };
  const one = use([awake('i1')], 1);
  expect(fullQuota(limits, one, [], claim('pause', 'i1'))).toMatchObject({ quota: 'sleepingSandboxes' });
  expect(fullQuota(limits, use([awake('i2', true)]), [], claim('pause', 'i2', true))).toBeUndefined();
  expect(fullQuota(limits, one, [], claim('create', 'i3', true))).toMatchObject({ quota: 'sleepingSandboxes' });
  expect(fullQuota(limits, one, [], claim('create', 'i3'))).toBeUndefined();
});

describe('a resume of one that its timeout pauses again', () => {
  const MIB = 1024 * 1024;
  /** Asleep with so many bytes. */
  const asleep = (bytes: number, running: AwakeSandbox[] = []): TenantUse => ({
    awake: running,
    asleep: { count: 1, diskMiB: 4096, bytes, bytesOf: { i1: bytes } },
  });
  const resume = (use: TenantUse, fallsAsleep = true): Claim => decidedOn(claim('resume', 'i1', fallsAsleep), use);
  const limits = (sleepingMiB: number) => ({ ...NO_LIMITS, sleepingMiB });

  test('claims what its image may grow by, until it is awake: then its memory', () => {
    const use = asleep(27.5 * MIB);
    expect(amountsOf(use, [])).toMatchObject({ sleepingSandboxes: 1, sleepingMiB: 28 });
    const claims = [resume(use)];
    expect(amountsOf(use, claims)).toMatchObject({ sleepingSandboxes: 1, sleepingMiB: 512 });
    const woken = { awake: [awake('i1', true)], asleep: NO_USE.asleep };
    expect(amountsOf(woken, claims)).toMatchObject({ sleepingSandboxes: 1, sleepingMiB: 512 });
  });

  test('is refused when that has no room, and let in when it has to the last MiB', () => {
    const use = asleep(27.5 * MIB, [awake('i2', true)]);
    expect(fullQuota(limits(1023), use, [], resume(use))).toMatchObject({
      quota: 'sleepingMiB',
      used: 540,
      wanted: 484,
    });
    expect(fullQuota(limits(1024), use, [], resume(use))).toBeUndefined();
    expect(fullQuota(limits(540), use, [], resume(use, false))).toBeUndefined();
  });

  test('claims all of its memory when its host does not say what it counts for', () => {
    const silent: TenantUse = { awake: [], asleep: { count: 1, diskMiB: 4096, bytes: 27 * MIB } };
    expect(amountsOf(silent, [resume(silent)])).toMatchObject({ sleepingMiB: 539 });
  });

  test('claims nothing when its files take up more than its memory', () => {
    const use = asleep(600 * MIB);
    expect(fullQuota(limits(100), use, [], resume(use))).toBeUndefined();
  });

  test('claims it once, however many ask, and also when one of them only changes what its timeout does', () => {
    const use = asleep(27 * MIB);
    expect(amountsOf(use, [resume(use), resume(use)])).toMatchObject({ runningSandboxes: 1, sleepingMiB: 512 });
    expect(amountsOf(use, [resume(use, false), resume(use)])).toMatchObject({ runningSandboxes: 1, sleepingMiB: 512 });
    const pausing: TenantUse = { ...NO_USE, awake: [awake('i1')] };
    expect(amountsOf(pausing, [claim('pause', 'i1'), resume(pausing)])).toMatchObject({ sleepingMiB: 512 });
    expect(amountsOf(pausing, [resume(pausing)])).toMatchObject({ sleepingSandboxes: 1, sleepingMiB: 512 });
  });

  test('and a pause that is asked for while its sandbox wakes claims the same, though its timeout does not', () => {
    const use = asleep(27 * MIB);
    expect(amountsOf(use, [resume(use, false), claim('pause', 'i1')])).toMatchObject({
      ...{ sleepingSandboxes: 1, sleepingMiB: 512 },
    });
    expect(amountsOf(use, [resume(use), claim('pause', 'i1', true)])).toMatchObject({ sleepingMiB: 512 });
  });
});

test('every text says what is full, how much is used, and what frees it', () => {
  for (const quota of QUOTAS) {
    const text = textOfFull({ quota, limit: 7, used: 6, wanted: 2 });
    expect(text).toMatch(
      /^your quota of .* is full: 6 of 7 are used, and this needs 2 more\. Nothing was changed\. Kill/,
    );
  }
});
