/** The nine invariants of docs/invariants.md. */
export type Invariant = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9;

export const INVARIANTS: Record<Invariant, string> = {
  1: 'live machines are exactly the sandboxes that run',
  2: 'no sandbox has two live machines',
  3: 'a paused sandbox has an image that restores',
  4: 'nothing is left of a sandbox that has ended',
  5: 'every state in between ends within its bound',
  6: 'no image and no device state is used twice',
  7: 'every file belongs to exactly one sandbox',
  8: 'no guest runs without the network guard',
  9: 'every manifest is as this service wrote it',
};

export interface Violation {
  invariant: Invariant;
  sandbox?: string;
  what: string;
  /** What to do, for an operator. */
  todo: string;
  /** What the reaper may do about it, once it is older than anything being made. */
  repair?: Repair;
}

export type Repair =
  /** Everything: machine, key, secret, files. */
  | { kind: 'destroy'; id: string }
  /** What surrounds a live machine, of a sandbox that sleeps. */
  | { kind: 'clear-workspace'; id: string }
  | { kind: 'remove-file'; id: string; name: string }
  | { kind: 'remove-memory'; name: string }
  | { kind: 'remove-pool-entry'; name: string }
  | { kind: 'kill-process'; id: string; pid: number };

/** The same violation in two observations has the same key. */
export const keyOf = (violation: Violation): string => `${violation.invariant} ${violation.what}`;

export const describe = (violation: Violation): string =>
  `invariant ${violation.invariant} (${INVARIANTS[violation.invariant]}): ${violation.what}\n    ${violation.todo}`;
