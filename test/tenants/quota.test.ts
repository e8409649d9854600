import { describe, expect, test } from 'vitest';
import { QUOTAS } from '../../src/tenants/limits.js';
import { amountsOf, fullQuota, textOfFull, type Claim } from '../../src/tenants/quota.js';
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

test('every text says what is full, how much is used, and what frees it', () => {
  for (const quota of QUOTAS) {
    const text = textOfFull({ quota, limit: 7, used: 6, wanted: 2 });
    expect(text).toMatch(
      /^your quota of .* is full: 6 of 7 are used, and this needs 2 more\. Nothing was changed\. Kill/,
    );
  }
});
