import type { Answer, Guest } from './guest.js';
import type { Rig } from './rig.js';

const created = (answer: Answer): { id: string; token: string } => {
  const { sandboxID, envdAccessToken } = answer.body as { sandboxID: string; envdAccessToken: string };
  return { id: sandboxID, token: envdAccessToken };
};

/** The sandboxes of a run: one that the next step is taken on, and two that no fault is aimed at. */
export class Fleet {
  #subject: Guest | undefined;
  #asleep = false;
  #running: Guest | undefined;
  #paused: Guest | undefined;

  constructor(private readonly rig: Rig) {}

  /** A marked guest, running. @throws Error when a step without any fault fails. */
  async newGuest(body: object = {}, { api, keeps }: { api?: string; keeps?: Guest['keeps'] } = {}): Promise<Guest> {
    const answer = await this.rig.client.call(
      'POST',
      '/sandboxes',
      { templateID: 'base', timeout: 3_600, ...body },
      api,
    );
    if (answer.status !== 201)
      throw new Error(`create without a fault: ${answer.status} ${JSON.stringify(answer.body)}`);
    const { id, token } = created(answer);
    return this.rig.client.mark(id, token, keeps);
  }

  has(id: string): boolean {
    return this.#subject?.id === id;
  }

  async pause({ id, keeps }: { id: string; keeps?: Guest['keeps'] }): Promise<void> {
    const answer = await this.rig.client.call('POST', `/sandboxes/${id}/pause`, { memory: keeps !== 'disk' });
    if (answer.status !== 204)
      throw new Error(`pause without a fault: ${answer.status} ${JSON.stringify(answer.body)}`);
  }

  /** A boot may take longer than a caller is let wait: then it is asked for again, as the answer says. */
  async wake({ id, keeps }: { id: string; keeps?: Guest['keeps'] }): Promise<void> {
    let answer: Answer;
    let times = 0;
    do answer = await this.rig.client.call('POST', `/sandboxes/${id}/connect`, { timeout: 3_600 });
    while (keeps === 'disk' && answer.status === 504 && ++times < 4);
    if (answer.status !== 200 && answer.status !== 201)
      throw new Error(`connect without a fault: ${answer.status} ${JSON.stringify(answer.body)}`);
  }

  /** After every machine has ended: those that slept are still there. */
  afterPowerLoss(): void {
    if (this.#running !== undefined) this.rig.bystanders.delete(this.#running.id);
    this.#running = undefined;
    if (!this.#asleep) this.#subject = undefined;
  }

  /** Bystanders: one runs, one sleeps. */
  async muster(): Promise<void> {
    this.#running ??= await this.newGuest();
    if (this.#paused === undefined) {
      this.#paused = await this.newGuest();
      await this.pause(this.#paused);
    }
    for (const guest of [this.#running, this.#paused]) this.rig.bystanders.add(guest.id);
  }

  get sleeper(): Guest {
    if (this.#paused === undefined) throw new Error('there is no bystander that sleeps');
    return this.#paused;
  }

  /** The subject, awake or asleep; a new one where there is none. */
  async subject(asleep: boolean): Promise<Guest> {
    const guest = (this.#subject ??= await this.newGuest());
    if (this.#asleep && !asleep) await this.wake(guest);
    if (!this.#asleep && asleep) await this.pause(guest);
    this.#asleep = asleep;
    return guest;
  }

  /** What the subject is after a step. */
  keep(guest: Guest | undefined, asleep = false): void {
    this.#subject = guest;
    this.#asleep = asleep;
  }

  /** @returns what is wrong with the bystanders. `thorough`: the sleeping one too, which wakes it and lets it sleep again. */
  async proveBystanders(thorough: boolean): Promise<string | undefined> {
    const running = this.#running === undefined ? undefined : await this.rig.client.prove(this.#running);
    if (running !== undefined) return `the running bystander ${this.#running!.id}: ${running}`;
    if (!thorough || this.#paused === undefined) return undefined;
    await this.wake(this.#paused);
    const slept = await this.rig.client.prove(this.#paused);
    await this.pause(this.#paused);
    return slept === undefined ? undefined : `the sleeping bystander ${this.#paused.id}: ${slept}`;
  }
}
