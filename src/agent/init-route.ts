import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AgentState } from './agent-state.js';
import { refusal } from './authorize.js';
import { HttpError, sendJson } from './http-error.js';
import { readJsonBody } from './read-body.js';
import type { Identity } from './identity.js';
import type { ReseedWatch } from './reseed.js';
import { BOOT_ID } from './survival/record.js';
import { setClock } from './set-clock.js';
import { AGENT_VERSION } from './version.js';

export interface InitOptions {
  setsClock: boolean;
  reseeds: ReseedWatch;
  /** Absent: the machine keeps the identity that it has. */
  identity?: Identity | undefined;
  /** Called once for each wake that asked for a reseed. */
  onRestored: (request: IncomingMessage) => void;
  /** Called when the state has changed, or a reseed was taken. */
  onChanged: () => void;
}

/** What the host says after a boot and after every restore. The first token is believed, later inits must bring it. */
export async function initRoute(
  request: IncomingMessage,
  response: ServerResponse,
  state: AgentState,
  options: InitOptions,
): Promise<void> {
  if (state.accessToken !== undefined) {
    const refused = refusal(state, request.headers['x-access-token'] as string | undefined);
    if (refused !== undefined) throw new HttpError(401, refused);
  }
  const body = await readJsonBody(request);
  const timestamp = optionalDate(body['timestamp']);
  const envVars = optionalEnvVars(body['envVars']);
  const accessToken = optionalText(body, 'accessToken');
  const defaultUser = optionalText(body, 'defaultUser');
  const defaultWorkdir = optionalText(body, 'defaultWorkdir');
  const wake = optionalText(body, 'wake');
  const machineId = optionalMachineId(body['machineId']);
  const began = performance.now();
  if (timestamp !== undefined && options.setsClock) setClock(timestamp);
  const clockSet = performance.now();
  if (body['requireReseed'] === true) {
    const first = await options.reseeds.waitFor(wake, () => response.destroyed);
    // Also when whoever asked is gone: an attempt that comes later does not do it again.
    if (first) response.once('close', () => options.onRestored(request));
  } else options.reseeds.pass();
  // Behind the answer, for which somebody waits, and before the next request is read: it finds the new identity.
  if (machineId !== undefined) response.once('close', () => adopt(options.identity, machineId));
  if (accessToken) state.accessToken = accessToken;
  if (envVars !== undefined) state.envVars = envVars;
  if (defaultUser) state.defaultUser = defaultUser;
  if (defaultWorkdir) state.defaultWorkdir = defaultWorkdir;
  const ms = { clock: clockSet - began, all: performance.now() - began };
  options.onChanged();
  sendJson(response, 200, { bootId: BOOT_ID, envdVersion: AGENT_VERSION, ms });
}

/** Whoever is root in the guest may have made that impossible; the sandbox is theirs. */
function adopt(identity: Identity | undefined, machineId: string): void {
  try {
    identity?.adopt(machineId);
  } catch (error) {
    console.error('identity', error);
  }
}

function optionalMachineId(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string' && /^[0-9a-f]{32}$/.test(value)) return value;
  throw new HttpError(400, 'machineId must be 32 hex digits');
}

function optionalText(body: Record<string, unknown>, name: string): string | undefined {
  const value = body[name] ?? undefined;
  if (value === undefined || typeof value === 'string') return value;
  throw new HttpError(400, `${name} must be a string`);
}

function optionalDate(value: unknown): Date | undefined {
  if (value === undefined || value === null) return undefined;
  const date = new Date(typeof value === 'string' ? value : NaN);
  if (Number.isNaN(date.getTime())) throw new HttpError(400, 'timestamp must be an RFC 3339 date');
  return date;
}

function optionalEnvVars(value: unknown): Record<string, string> | undefined {
  if (value === undefined || value === null) return undefined;
  const entries = typeof value === 'object' ? Object.entries(value) : undefined;
  if (entries?.every(([, text]) => typeof text === 'string'))
    return Object.fromEntries(entries) as Record<string, string>;
  throw new HttpError(400, 'envVars must map names to strings');
}
