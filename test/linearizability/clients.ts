import { setTimeout as delay } from 'node:timers/promises';
import type { ApiClient } from '../e2e/api-client.js';

/** One line of a history; see `checker/model.go`. */
export interface Operation {
  client: number;
  sandbox: string;
  verb: 'create' | 'pause' | 'connect' | 'timeout' | 'kill' | 'see';
  /** Nanoseconds of a monotonic clock. */
  call: number;
  return?: number;
  status: number;
  said?: 'superseded' | 'already' | 'being-killed';
  seen?: 'running' | 'paused' | 'absent';
}

export interface Workload {
  seed: number;
  clients: number;
  /** Sandboxes at a time; one that was killed is followed by another. */
  sandboxes: number;
  /** At least so many operations in all. */
  operations: number;
  /** Longest random wait of a client between two of its operations. */
  waitsUpToMs: number;
}

/** How often each verb is asked for, in parts of all. */
const SHARES = { pause: 26, connect: 30, see: 18, list: 14, timeout: 8, kill: 4 } as const;

interface Place {
  id: string | undefined;
  /** The one before, which clients that are late still ask for. */
  former: string | undefined;
  life: number;
}

type Answer = Awaited<ReturnType<ApiClient['call']>>;

/** Many clients on a few sandboxes, each at its own random pace. @returns what each asked and was told, and when */
export async function runClients(api: ApiClient, workload: Workload): Promise<Operation[]> {
  const random = randomNumbers(workload.seed);
  const history: Operation[] = [];
  const places: Place[] = Array.from({ length: workload.sandboxes }, () => ({
    id: undefined,
    former: undefined,
    life: 0,
  }));
  const run = `${workload.seed}-${process.pid}-${Date.now()}`;
  const now = (): number => Math.round(performance.now() * 1e6);

  async function ask(
    client: number,
    verb: Operation['verb'],
    sandbox: string,
    call: () => Promise<Answer>,
  ): Promise<Operation> {
    const since = now();
    const answer = await call().catch((error: unknown) => ({ status: 0, body: { message: String(error) } }));
    const operation: Operation = { client, sandbox, verb, call: since, status: answer.status };
    if (answer.status !== 0 && answer.status !== 504) operation.return = now();
    const said = saidIn(answer.body);
    if (answer.status === 409 && said !== undefined) operation.said = said;
    if (verb === 'see') {
      operation.seen = answer.status === 404 ? 'absent' : (answer.body as { state: 'running' | 'paused' }).state;
      if (answer.status === 404) operation.status = 200;
    }
    if (verb === 'create') operation.sandbox = idIn(answer.body) ?? sandbox;
    history.push(operation);
    return operation;
  }

  async function create(client: number, place: Place, index: number): Promise<void> {
    const { life } = place;
    const headers = { 'idempotency-key': `${run}-${index}-${life}` };
    const body = { templateID: 'base', timeout: 3_000 };
    const made = await ask(client, 'create', '', () => api.call('POST', '/sandboxes', body, undefined, headers));
    if (made.sandbox === '') history.splice(history.indexOf(made), 1);
    else if (place.life === life) place.id = made.sandbox;
  }

  /** One operation per sandbox that was known before it: a list is a look at each of them. */
  async function list(client: number): Promise<void> {
    const known = places.flatMap(({ id, former }) => [id, former]).filter((id) => id !== undefined);
    const call = now();
    const { status, body } = await api.call('GET', '/v2/sandboxes?state=running,paused&limit=100');
    if (status !== 200) throw new Error(`list was answered ${status}`);
    const states = new Map(
      (body as { sandboxID: string; state: 'running' | 'paused' }[]).map((s) => [s.sandboxID, s.state]),
    );
    for (const sandbox of new Set(known)) {
      history.push({
        client,
        sandbox,
        verb: 'see',
        call,
        return: now(),
        status,
        seen: states.get(sandbox) ?? 'absent',
      });
    }
  }

  async function one(client: number): Promise<void> {
    const index = Math.floor(random() * places.length);
    const place = places[index]!;
    const id = random() < 0.05 ? (place.former ?? place.id) : place.id;
    if (id === undefined) return create(client, place, index);
    const verb = pick(random());
    if (verb === 'list') return list(client);
    const path = `/sandboxes/${id}`;
    const timeout = 2_000 + Math.floor(random() * 1_000);
    switch (verb) {
      case 'see':
        return void (await ask(client, verb, id, () => api.call('GET', path)));
      case 'pause':
        return void (await ask(client, verb, id, () => api.call('POST', `${path}/pause`)));
      case 'connect':
      case 'timeout':
        return void (await ask(client, verb, id, () => api.call('POST', `${path}/${verb}`, { timeout })));
      case 'kill':
        await ask(client, verb, id, () => api.call('DELETE', path));
        // Also without an answer: it may be gone, and goes on being asked for as the former one.
        if (place.id === id) Object.assign(place, { id: undefined, former: id, life: place.life + 1 });
    }
  }

  await Promise.all(
    Array.from({ length: workload.clients }, async (_, client) => {
      while (history.length < workload.operations) {
        await one(client);
        await delay(random() * workload.waitsUpToMs);
      }
    }),
  );
  for (const { id } of places)
    if (id !== undefined) await ask(0, 'kill', id, () => api.call('DELETE', `/sandboxes/${id}`));
  return history;
}

/** How often each verb was answered how. */
export function summaryOf(history: readonly Operation[]): string {
  const counts = new Map<string, number>();
  for (const { verb, status, said = '' } of history) {
    const kind = `${verb} ${status} ${said}`.trim();
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return [...counts]
    .sort()
    .map(([kind, count]) => `${kind}: ${count}`)
    .join(', ');
}

function pick(random: number): keyof typeof SHARES {
  let left = random * 100;
  for (const [verb, share] of Object.entries(SHARES)) if ((left -= share) < 0) return verb as keyof typeof SHARES;
  return 'see';
}

function saidIn(body: unknown): Operation['said'] {
  const message = (body as { message?: string } | undefined)?.message ?? '';
  if (/overtaken/.test(message)) return 'superseded';
  if (/being killed/.test(message)) return 'being-killed';
  return /already/.test(message) ? 'already' : undefined;
}

function idIn(body: unknown): string | undefined {
  const { sandboxID, message } = body as { sandboxID?: string; message?: string };
  return sandboxID ?? /sandbox ([a-z0-9]+) may or may not/.exec(message ?? '')?.[1];
}

/** mulberry32: the same choices for the same seed, as far as the clients' turns come in the same order. */
function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
