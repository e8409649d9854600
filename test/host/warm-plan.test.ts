import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { planWarm, type WarmMachine } from '../../src/host/warm-plan.js';

const machine = (id: string, change: Partial<WarmMachine> = {}): WarmMachine => ({
  ...{ id, templateKey: 'new', phase: 'running', startedAt: 0 },
  ...change,
});
const facts = { size: 2, newest: 'new', machines: [] as WarmMachine[], othersAreMade: false, fits: true };
const discarded = (plan: { discard: { id: string }[] }): string[] => plan.discard.map(({ id }) => id);

describe('the warm pool', () => {
  test('is filled up to its size, and one that is being made counts', () => {
    expect(planWarm(facts)).toEqual({ start: true, discard: [] });
    expect(planWarm({ ...facts, machines: [machine('a')] })).toEqual({ start: true, discard: [] });
    const full = [machine('a'), machine('b', { phase: 'creating' })];
    expect(planWarm({ ...facts, machines: full })).toEqual({ start: false, discard: [] });
  });

  test('starts nothing without room, without a template, or while somebody’s sandbox is made', () => {
    expect(planWarm({ ...facts, fits: false }).start).toBe(false);
    expect(planWarm({ ...facts, newest: undefined }).start).toBe(false);
    expect(planWarm({ ...facts, othersAreMade: true }).start).toBe(false);
  });

  test('gives up what is more than its size, the youngest and those not ready first', () => {
    const machines = [
      machine('ready-young', { startedAt: 2 }),
      machine('made', { phase: 'creating', startedAt: 1 }),
      machine('ready-old', { startedAt: 0 }),
    ];
    expect(discarded(planWarm({ ...facts, machines }))).toEqual(['made']);
    expect(discarded(planWarm({ ...facts, size: 1, machines }))).toEqual(['ready-young', 'made']);
    expect(planWarm({ ...facts, size: 0, machines })).toMatchObject({ start: false, discard: { length: 3 } });
  });

  test('replaces machines of an older template, and those that are good for nothing', () => {
    const machines = [machine('old', { templateKey: 'old' }), machine('lost', { phase: 'lost' }), machine('good')];
    const plan = planWarm({ ...facts, machines });
    expect(plan.start).toBe(true);
    expect(discarded(plan)).toEqual(['old', 'lost']);
    expect(plan.discard[0]!.why).toMatch(/newer template/);
  });

  test('never keeps more than its size, never starts beside a surplus, and says why it gives one up', () => {
    const machines = fc.array(
      fc.record({
        id: fc.uuid(),
        templateKey: fc.constantFrom('new', 'old'),
        phase: fc.constantFrom('running' as const, 'creating' as const, 'lost' as const),
        startedAt: fc.nat(),
      }),
    );
    fc.assert(
      fc.property(machines, fc.nat(4), fc.boolean(), fc.boolean(), (all, size, othersAreMade, fits) => {
        const plan = planWarm({ size, newest: 'new', machines: all, othersAreMade, fits });
        const kept = all.filter(({ id }) => !discarded(plan).includes(id));
        expect(kept.length).toBeLessThanOrEqual(size);
        expect(kept.every(({ templateKey, phase }) => templateKey === 'new' && phase !== 'lost')).toBe(true);
        if (plan.start) expect(kept.length).toBeLessThan(size);
        const surplus = plan.discard.filter(({ why }) => why.includes('DORMOUSE_WARM_POOL'));
        if (surplus.length > 0) expect(kept.length).toBe(size);
      }),
    );
  });
});
