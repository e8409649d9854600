/** Work that is under way, by name: whoever asks for the same meanwhile joins it and gets its outcome. */
export class Join {
  readonly #underWay = new Map<string, Promise<unknown>>();

  /** @param name says what the work is and on which sandbox, for example `pause i123` */
  run<T>(name: string, work: () => Promise<T>): { outcome: Promise<T>; joined: boolean } {
    const known = this.#underWay.get(name) as Promise<T> | undefined;
    if (known !== undefined) return { outcome: known, joined: true };
    const outcome = work().finally(() => this.#underWay.delete(name));
    this.#underWay.set(name, outcome);
    return { outcome, joined: false };
  }
}
