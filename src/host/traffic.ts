/** What the lifecycle needs of the gateway: the clock of last activity, and the gate before each sandbox. */
export interface Traffic {
  /** Time since a byte last passed, in ms of a monotonic clock. A sandbox not seen before counts as just active. */
  idleForMs(id: string): number;
  /** New requests are refused from now on (409); running ones go on. */
  closeGate(id: string): void;
  openGate(id: string): void;
  /**
   * The machine is about to stop, and its connections may break from now on. Until the gate opens, a question about the
   * sandbox's health is answered as for one that does not run: clients ask it as soon as a stream breaks.
   */
  announceStop(id: string): void;
  /** Ends all open connections to the guest. */
  cutStreams(id: string): void;
  forget(id: string): void;
}
