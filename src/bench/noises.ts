import { request, type ClientRequest } from 'node:http';
import { OpenRequests } from './open-requests.js';
import { runCommand, startCommand, type AgentDoor } from './run-command.js';
import type { Sandbox, ServiceClient } from './service-client.js';

export const GUESTS = 2;
export const CONNECTIONS = 200;
export const STREAMS = 40;
/** A stream on which nothing comes for so long brings no frames. */
const SILENT_MS = 120_000;

/** What a tenant does: begins with it, and says how to end it. */
export type Noise = (client: ServiceClient) => Promise<() => Promise<void>>;

async function sandboxes(client: ServiceClient): Promise<Sandbox[]> {
  const made: Sandbox[] = [];
  for (let count = 0; count < GUESTS; count++) made.push((await client.create()).sandbox);
  return made;
}

const killAll = async (client: ServiceClient, made: readonly Sandbox[]): Promise<void> => {
  for (const sandbox of made) await client.kill(sandbox);
};

export const inGuests =
  (script: string): Noise =>
  async (client) => {
    const made = await sandboxes(client);
    for (const sandbox of made) {
      await runCommand(client.door(sandbox), `setsid nohup bash -c '${script}' > /dev/null 2>&1 < /dev/null &`);
    }
    return () => killAll(client, made);
  };

/** Uploads of one byte that never end. */
export const connections: Noise = async (client) => {
  const made = await sandboxes(client);
  const open = new OpenRequests(
    Array.from({ length: CONNECTIONS }, (_, count) => upload(client.door(made[count % GUESTS]!), count)),
  );
  return () => endBoth(open, client, made);
};

function upload({ url, headers }: AgentDoor, count: number): ClientRequest {
  const all = { ...headers, 'transfer-encoding': 'chunked', 'content-type': 'application/octet-stream' };
  const open = request(`${url}/files?path=/home/user/${count}`, { method: 'POST', headers: all, agent: false });
  open.write('x');
  return open;
}

/** A byte fifty times a second on each stream, without a process for each pause: the guest's processor is not the noise. */
const TRICKLE = 'exec 9<> <(:); while :; do printf x; read -t .02 -u 9; done';

/** Commands whose output trickles. Begun when each has brought output. */
export const frames: Noise = async (client) => {
  const made = await sandboxes(client);
  const streams = Array.from({ length: STREAMS }, (_, count) => trickle(client.door(made[count % GUESTS]!)));
  const open = new OpenRequests(streams.map(({ stream }) => stream));
  await Promise.all(streams.map(({ brings }) => brings));
  return () => endBoth(open, client, made);
};

function trickle(door: AgentDoor): { stream: ClientRequest; brings: Promise<void> } {
  const { url, headers, body } = startCommand(door, TRICKLE);
  const stream = request(url, { method: 'POST', headers, agent: false, timeout: SILENT_MS });
  const silent = new Error(`a command's stream brought nothing for ${SILENT_MS / 1000} s`);
  stream.once('timeout', () => stream.destroy(silent));
  const brings = new Promise<void>((resolve, reject) => {
    stream.once('error', reject);
    stream.once('close', () => reject(new Error("a command's stream ended before its first output")));
    stream.once('response', (answer) => {
      answer.on('error', reject);
      answer.on('data', (bytes: Buffer) => {
        if (bytes.includes('"stdout"')) resolve();
      });
    });
  });
  stream.end(body);
  return { stream, brings };
}

async function endBoth(open: OpenRequests, client: ServiceClient, made: readonly Sandbox[]): Promise<void> {
  try {
    open.end();
  } finally {
    await killAll(client, made);
  }
}

/** Pauses each sandbox without its memory and boots it again, until it is stopped; ignores the answers. */
export const boots: Noise = async (client) => {
  const made = await sandboxes(client);
  let over = false;
  const booting = made.map(async (sandbox) => {
    while (!over) {
      await client.call('POST', `/sandboxes/${sandbox.id}/pause`, { memory: false }, 204, 409).catch(() => undefined);
      if (!over) await client.connect(sandbox).catch(() => undefined);
    }
  });
  return async () => {
    over = true;
    await killAll(client, made);
    await Promise.all(booting);
  };
};
