import { expect, test } from 'vitest';
import { Turns } from '../../activities/turns.js';

const never = new AbortController().signal;
const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

/** Steps that end when they are told to. */
class Steps {
  readonly begun: string[] = [];
  readonly #ends = new Map<string, () => void>();

  constructor(private readonly turns: Turns) {}

  ask(name: string, signal = never): Promise<void> {
    return this.turns.take(name[0]!, signal, () => {
      this.begun.push(name);
      return new Promise((resolve) => this.#ends.set(name, resolve));
    });
  }

  async end(name: string): Promise<void> {
    this.#ends.get(name)!();
    await settled();
  }
}

test('one tenant leaves places to others, who begin at once', async () => {
  const steps = new Steps(new Turns(4));
  for (const name of ['a1', 'a2', 'a3', 'a4', 'a5']) void steps.ask(name);
  await settled();
  expect(steps.begun).toEqual(['a1', 'a2', 'a3']);
  void steps.ask('b1');
  await settled();
  expect(steps.begun).toEqual(['a1', 'a2', 'a3', 'b1']);
});

test('a place that becomes free goes to whoever has the fewest, however long the others’ queue is', async () => {
  const steps = new Steps(new Turns(2));
  for (const name of ['a1', 'b1', 'a2', 'a3', 'a4', 'c1', 'b2']) void steps.ask(name);
  await settled();
  expect(steps.begun).toEqual(['a1', 'b1']);
  await steps.end('a1');
  await steps.end('c1');
  await steps.end('b1');
  expect(steps.begun.slice(2)).toEqual(['c1', 'a2', 'b2']);
  await steps.end('a2');
  expect(steps.begun.at(-1)).toBe('a3');
});

test('what is called off while it waits takes no place, and what fails gives its own back', async () => {
  const turns = new Turns(1);
  const steps = new Steps(turns);
  void steps.ask('a1');
  const off = new AbortController();
  const waiting = steps.ask('a2', off.signal);
  off.abort(new Error('killed'));
  await expect(waiting).rejects.toThrow('killed');
  await steps.end('a1');
  await expect(turns.take('a', never, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  void steps.ask('b1');
  await settled();
  expect(steps.begun).toEqual(['a1', 'b1']);
});
