import type { Traffic } from '../host/traffic.js';
import { HeldBytes } from './held-bytes.js';
import type { Whose } from './wire.js';

/**
 * When each sandbox was last active, by the monotonic clock; the gate before it; and what is open to it, to be cut.
 * In memory only: after a restart every sandbox counts as active at the start of this process.
 */
export class Activity implements Traffic {
  /** Of the streams that are open. */
  readonly held = new HeldBytes();
  readonly #startedAt: number;
  readonly #lastAt = new Map<string, number>();
  readonly #closed = new Set<string>();
  readonly #stopping = new Set<string>();
  readonly #open = new Map<string, Record<Whose, Set<{ cut: () => void }>>>();

  /** @param now a clock in ms that never goes back */
  constructor(private readonly now: () => number = () => performance.now()) {
    this.#startedAt = now();
  }

  touch(id: string): void {
    this.#lastAt.set(id, this.now());
  }

  /** Time since a byte last passed. Without any so far: since this process started. */
  idleForMs(id: string): number {
    return Math.max(0, Math.floor(this.now() - (this.#lastAt.get(id) ?? this.#startedAt)));
  }

  closeGate(id: string): void {
    this.#closed.add(id);
  }

  openGate(id: string): void {
    this.#closed.delete(id);
    this.#stopping.delete(id);
  }

  announceStop(id: string): void {
    this.#stopping.add(id);
  }

  isStopping(id: string): boolean {
    return this.#stopping.has(id);
  }

  isGateOpen(id: string): boolean {
    return !this.#closed.has(id);
  }

  /**
   * Registers something open to a sandbox.
   *
   * @returns a function that takes it off again
   */
  track(id: string, cut: () => void, whose: Whose = 'stranger'): () => void {
    const open = this.#open.get(id) ?? { owner: new Set(), stranger: new Set() };
    this.#open.set(id, open);
    // A value of its own: the same `cut` counts as often as it is given.
    const entry = { cut };
    open[whose].add(entry);
    return () => {
      open[whose].delete(entry);
      if (open.owner.size + open.stranger.size === 0 && this.#open.get(id) === open) this.#open.delete(id);
    };
  }

  /** How many are registered. */
  openTo(id: string): number {
    return (this.#open.get(id)?.owner.size ?? 0) + this.strangersAt(id);
  }

  /** How many of them are not the owner's. */
  strangersAt(id: string): number {
    return this.#open.get(id)?.stranger.size ?? 0;
  }

  cutStreams(id: string): void {
    const { owner, stranger } = this.#open.get(id) ?? { owner: [], stranger: [] };
    for (const { cut } of [...owner, ...stranger]) cut();
  }

  /** The sandbox is no more. */
  forget(id: string): void {
    this.cutStreams(id);
    this.#lastAt.delete(id);
    this.#closed.delete(id);
    this.#stopping.delete(id);
  }
}
