import { expect, test } from 'vitest';
import { UpdateIds } from '../../src/api/update-ids.js';
import { DormouseError } from '../../src/temporal/dormouse-error.js';
import { translateError } from '../../src/temporal/translate-error.js';

test('an attempt that got no answer keeps its name; one whose answer is that nobody knows gives it up', async () => {
  const ids = new UpdateIds({ isAnswered: () => Promise.resolve(false) });
  const names: string[] = [];
  const attempt = (error?: Error): Promise<unknown> =>
    ids
      .run('i1', 'resume', 3, (name) => {
        names.push(name);
        return error === undefined ? Promise.resolve() : Promise.reject(error);
      })
      .catch((reason: unknown) => reason);
  await attempt(new DormouseError('OutcomeUnknown', 'no answer in time'));
  await attempt(new DormouseError('OutcomeUnknown', 'the host did not say', {}, true));
  await attempt(new DormouseError('ResumeFailed', 'it stays paused', {}, true));
  await attempt();
  expect(names).toEqual(['resume:3', 'resume:3', 'resume:3:1', 'resume:3:2']);
});

test('names whose attempts are over by what Temporal says are passed over, and one that is under way is joined', async () => {
  const over = new Set(['i1 resume:3', 'i1 resume:3:1']);
  const ids = new UpdateIds({ isAnswered: (id, name) => Promise.resolve(over.has(`${id} ${name}`)) });
  const nameOf = (id: string): Promise<string> => ids.run(id, 'resume', 3, (name) => Promise.resolve(name));
  expect(await nameOf('i2')).toBe('resume:3');
  expect(await nameOf('i1')).toBe('resume:3:2');
  over.add('i1 resume:3:2').add('i1 resume:3:3');
  expect(await nameOf('i1')).toBe('resume:3:4');
});

test('a call to Temporal that was repeated until there was no connection any more may have been done', () => {
  const lost = Object.assign(new Error('14 UNAVAILABLE'), {
    ...{
      code: 14,
      details: 'No connection established. Last error: connect ECONNREFUSED 127.0.0.1:7233',
      metadata: {},
    },
  });
  expect(translateError(new Error('Failed to start', { cause: lost }), 'i1')).toMatchObject({ code: 'OutcomeUnknown' });
});
