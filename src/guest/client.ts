import { request, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';

export interface GuestAddress {
  host: string;
  port: number;
}

export interface InitBody {
  envVars: Record<string, string>;
  accessToken: string;
  /** RFC 3339. */
  timestamp: string;
  defaultUser: string;
  defaultWorkdir?: string;
  requireReseed?: boolean;
  /** Of the guest, 32 hex digits; older agents do not know it. */
  machineId?: string;
  /** Names the wake, with `requireReseed`: attempts of one have the same. Older agents do not know it. */
  wake?: string;
}

export interface InitAnswer {
  bootId: string;
  envdVersion: string;
  /** Time that the agent took, in milliseconds; absent from agents before 0.6.4. */
  ms?: { clock: number; all: number };
}

/** The guest is hostile: no answer that the host wants is longer. */
const MOST_ANSWER_BYTES = 256 * 1024;
const MOST_MESSAGE = 500;

/** The agent was reached, and said no. */
export class AgentRefusedError extends Error {
  override name = 'AgentRefusedError';
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

/** Whether the agent answers. @throws when it cannot be reached. */
export async function health(address: GuestAddress, signal: AbortSignal): Promise<boolean> {
  const { status } = await call(address, { method: 'GET', path: '/health', headers: {} }, undefined, signal);
  return status === 204 || status === 200;
}

/**
 * Tells the agent what its sandbox is; after a boot and after every restore.
 * @throws AgentRefusedError when it answered with anything but success, other errors when it could not be reached.
 */
export async function init(
  address: GuestAddress,
  token: string,
  body: InitBody,
  signal: AbortSignal,
): Promise<InitAnswer> {
  const headers = { 'x-access-token': token, 'content-type': 'application/json' };
  const { status, text } = await call(
    address,
    { method: 'POST', path: '/init', headers },
    JSON.stringify(body),
    signal,
  );
  if (status < 200 || status > 299)
    throw new AgentRefusedError(`the agent refused init: ${status} ${messageIn(text)}`, status);
  return JSON.parse(text) as InitAnswer;
}

/** What the guest says that it uses: to be looked at with suspicion. @throws as {@link init}. */
export const readMetrics = (address: GuestAddress, token: string, signal: AbortSignal): Promise<unknown> =>
  ask(address, 'GET', '/metrics', token, signal);

/** The comings and goings of processes since the last time. @throws as {@link init}. */
export const drainEvents = (address: GuestAddress, token: string, signal: AbortSignal): Promise<unknown> =>
  ask(address, 'POST', '/events', token, signal);

/** Answers when everything that was written in the guest is on its disk. @throws as {@link init}. */
export async function syncDisk(address: GuestAddress, token: string, signal: AbortSignal): Promise<void> {
  await ask(address, 'POST', '/sync', token, signal);
}

async function ask(
  address: GuestAddress,
  method: string,
  path: string,
  token: string,
  signal: AbortSignal,
): Promise<unknown> {
  const { status, text } = await call(
    address,
    { method, path, headers: { 'x-access-token': token } },
    undefined,
    signal,
  );
  if (status < 200 || status > 299) {
    throw new AgentRefusedError(`the agent refused ${method} ${path}: ${status} ${messageIn(text)}`, status);
  }
  return text === '' ? undefined : JSON.parse(text);
}

/**
 * A connection to a port of the guest's loopback.
 *
 * @param signal gives up: until then an agent that never answers costs a connection
 * @throws Error when nothing listens there
 */
export function dialTunnel(address: GuestAddress, token: string, port: number, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => void asked.destroy(signal.reason as Error);
    const asked = request({
      ...address,
      agent: false,
      method: 'CONNECT',
      path: `127.0.0.1:${port}`,
      headers: { 'x-access-token': token },
    });
    signal.addEventListener('abort', giveUp);
    asked.once('close', () => signal.removeEventListener('abort', giveUp));
    asked.once('error', reject);
    asked.once('connect', (response, socket, head) => {
      signal.removeEventListener('abort', giveUp);
      if (response.statusCode !== 200) {
        socket.destroy();
        return reject(new Error(`the agent opened no tunnel to port ${port}: ${response.statusCode}`));
      }
      if (head.length > 0) socket.unshift(head);
      resolve(socket as Socket);
    });
    if (signal.aborted) return giveUp();
    asked.end();
  });
}

/** One request on a connection of its own: one from before a pause leads nowhere after it. */
function call(
  address: GuestAddress,
  wanted: { method: string; path: string; headers: Record<string, string> },
  body: string | undefined,
  signal: AbortSignal,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const asked = request({ ...address, ...wanted, agent: false, signal }, (response) => {
      readText(response).then((text) => resolve({ status: response.statusCode ?? 0, text }), reject);
    });
    // Danger: with nobody to hear it, Node drops an answer that switches protocols, and neither answers nor fails.
    asked.once('upgrade', (_response, socket) => {
      socket.destroy();
      reject(new AgentRefusedError(`the agent switched protocols on ${wanted.method} ${wanted.path}`, 101));
    });
    asked.once('error', reject);
    asked.end(body);
  });
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    // Leaving the loop destroys the response, and with it the connection.
    if (bytes > MOST_ANSWER_BYTES)
      throw new AgentRefusedError(
        `the agent's answer is longer than ${MOST_ANSWER_BYTES} bytes`,
        response.statusCode ?? 0,
      );
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function messageIn(text: string): string {
  try {
    return String((JSON.parse(text) as { message?: unknown }).message ?? text).slice(0, MOST_MESSAGE);
  } catch {
    return text.slice(0, MOST_MESSAGE);
  }
}
