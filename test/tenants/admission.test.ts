import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Admission, QuotaExceeded } from '../../src/tenants/admission.js';
import type { Limits } from '../../src/tenants/limits.js';
import type { Claim } from '../../src/tenants/amounts.js';
import { NO_USE, type AwakeSandbox, type TenantUse } from '../../src/tenants/use.js';
import { NO_LIMITS } from './limits.js';

const size = { cpus: 2, memoryMiB: 512, diskMiB: 4096, fallsAsleep: false };
const create = (id: string): Claim => ({ kind: 'create', id, ...size });

/** A host whose answers are old by the time that they come. */
class SlowHost {
  readonly awake = new Map<string, AwakeSandbox>();
  asked = 0;
  /** Runs between the look and the answer. */
  meanwhile: () => void | Promise<void> = () => undefined;

  async useOf(): Promise<TenantUse> {
    this.asked += 1;
    const use = { ...NO_USE, awake: [...this.awake.values()] };
    await this.meanwhile();
    return use;
  }

  add(id: string): void {
    this.awake.set(id, { id, ...size });
  }
}

function admissionTo(host: SlowHost, limits: Partial<Limits>): Admission {
  return new Admission(
    () => ({ ...NO_LIMITS, ...limits }),
    () => host.useOf(),
  );
}

test('of many that ask at once as many are let in as there is room for, on few looks at the hosts', async () => {
  const host = new SlowHost();
  const admission = admissionTo(host, { runningSandboxes: 5 });
  const asked = Array.from({ length: 40 }, (_, n) => admission.admit('a', create(`i${n}`)));
  const outcomes = await Promise.allSettled(asked);
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(5);
  const refused = outcomes.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []));
  expect(refused[0]).toBeInstanceOf(QuotaExceeded);
  expect(host.asked).toBeLessThanOrEqual(2);
});

test('tenants have their own', async () => {
  const admission = admissionTo(new SlowHost(), { runningSandboxes: 1 });
  await admission.admit('a', create('i1'));
  await expect(admission.admit('a', create('i2'))).rejects.toThrow(/running sandboxes is full: 1 of 1/);
  await admission.admit('b', create('i3'));
});

test('what failed gives its share back', async () => {
  const admission = admissionTo(new SlowHost(), { runningSandboxes: 1 });
  (await admission.admit('a', create('i1'))).failed();
  (await admission.admit('a', create('i2'))).failed();
  expect(admission.claimsOf('a')).toEqual([]);
});

test('what is done while the hosts are asked counts, though their answer is from before it', async () => {
  const host = new SlowHost();
  const admission = admissionTo(host, { runningSandboxes: 1 });
  const first = await admission.admit('a', create('i1'));
  host.meanwhile = () => {
    host.add('i1');
    first.done();
  };
  await expect(admission.admit('a', create('i2'))).rejects.toBeInstanceOf(QuotaExceeded);
});

describe('a create of which nobody knows the outcome', () => {
  test('counts until its sandbox is seen; from then on the hosts speak for it', async () => {
    const host = new SlowHost();
    const admission = admissionTo(host, { runningSandboxes: 1 });
    (await admission.admit('a', create('i1'))).unknown();
    await expect(admission.admit('a', create('i2'))).rejects.toBeInstanceOf(QuotaExceeded);
    host.add('i1');
    await expect(admission.admit('a', create('i2'))).rejects.toBeInstanceOf(QuotaExceeded);
    host.awake.clear();
    await admission.admit('a', create('i2'));
  });

  test('counts no more once its sandbox was killed', async () => {
    const admission = admissionTo(new SlowHost(), { runningSandboxes: 1 });
    (await admission.admit('a', create('i1'))).unknown();
    admission.ended('a', 'i1');
    await admission.admit('a', create('i2'));
  });
});

test('a host that cannot be asked lets nothing in, and the next one is decided anew', async () => {
  const host = new SlowHost();
  const admission = admissionTo(host, { runningSandboxes: 1 });
  host.meanwhile = () => Promise.reject(new Error('no answer'));
  await expect(admission.admit('a', create('i1'))).rejects.toThrow('no answer');
  host.meanwhile = () => undefined;
  await admission.admit('a', create('i1'));
});

test('without a quota nobody is asked, and what goes on is known when one is set', async () => {
  const host = new SlowHost();
  const limits: Partial<Limits> = {};
  const admission = admissionTo(host, limits);
  await admission.admit('a', create('i1'));
  expect(host.asked).toBe(0);
  const later = new Admission(
    () => ({ ...NO_LIMITS, ...limits }),
    () => host.useOf(),
  );
  await later.admit('a', create('i1'));
  limits.runningSandboxes = 1;
  await expect(later.admit('a', create('i2'))).rejects.toBeInstanceOf(QuotaExceeded);
});

test('whatever order creates, failures and ends come in, a quota is never exceeded and never lost', async () => {
  const step = fc.constantFrom('create', 'done', 'fail', 'kill', 'turn');
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 4 }), async (steps, limit) => {
      const host = new SlowHost();
      host.meanwhile = () => new Promise((resolve) => setImmediate(resolve));
      const admission = admissionTo(host, { runningSandboxes: limit });
      const going: { id: string; done(): void; failed(): void }[] = [];
      const asked: Promise<unknown>[] = [];
      let next = 0;
      const alive = (): number => new Set([...host.awake.keys(), ...going.map(({ id }) => id)]).size;
      for (const what of steps) {
        if (what === 'create') {
          const id = `i${next++}`;
          asked.push(
            admission.admit('a', create(id)).then(
              (admitted) => going.push({ id, done: admitted.done, failed: admitted.failed }),
              () => undefined,
            ),
          );
        }
        if (what === 'done' && going[0] !== undefined) {
          const one = going.shift()!;
          host.add(one.id);
          one.done();
        }
        if (what === 'fail') going.shift()?.failed();
        if (what === 'kill') host.awake.delete([...host.awake.keys()][0] ?? '');
        if (what === 'turn') await new Promise((resolve) => setImmediate(resolve));
        expect(alive()).toBeLessThanOrEqual(limit);
      }
      await Promise.all(asked);
      expect(alive()).toBeLessThanOrEqual(limit);
      for (const one of going) one.failed();
      host.awake.clear();
      for (let n = 0; n < limit; n++) await admission.admit('a', create(`last${n}`));
    }),
    { numRuns: 200 },
  );
});

test('the hosts are asked what those that are resumed count for asleep, of no more at a time than an address has room for', async () => {
  const looks: (readonly string[])[] = [];
  const admission = new Admission(
    () => ({ ...NO_LIMITS, sleepingMiB: 1_000_000 }),
    (_tenant, asleep) => {
      looks.push(asleep);
      return Promise.resolve(NO_USE);
    },
  );
  const ids = Array.from({ length: 600 }, (_, n) => `i${n}`);
  await Promise.all([
    admission.admit('a', create('new')),
    ...ids.map((id) => admission.admit('a', { ...create(id), kind: 'resume' })),
  ]);
  expect(looks.flat()).toEqual(ids);
  expect(Math.max(...looks.map(({ length }) => length))).toBeLessThanOrEqual(300);
});
