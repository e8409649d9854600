/**
 * Wire shapes of a host's gateway, plain HTTP/1.1, reached by the api only.
 * Every request carries `x-dormouse-gateway-token` (derived from the master key, `src/keys/derive.ts`, label `gateway`).
 *
 * Index and facts (JSON):
 *   GET /internal/sandboxes?query=Q     -> SandboxPage; Q: JSON of a `sandboxQuery` (`sandbox-query.ts`)
 *   GET /internal/sandboxes/ID          -> SandboxView, or 404
 *   GET /internal/newest?most=N         -> NewestList: small rows of the newest sandboxes, of every tenant
 *   GET /internal/uses?tenant=T         -> TemplateUses: how often that tenant's sandboxes use each template
 *   GET /internal/use?tenant=T          -> TenantUse (`src/tenants/use.ts`): what that tenant's sandboxes take up;
 *     with &asleep=ID,ID                   of these what each counts for, too, if it sleeps
 *   GET /internal/host                  -> HostReport
 *   GET /internal/sandboxes/ID/metrics  -> SampleList, all that are kept, with one of now if it runs
 *   GET /internal/sandboxes/ID/log      -> LogList
 *   GET /internal/metrics?ids=ID,ID     -> LatestSamples of those that this host has
 * Data plane: any request with `x-dormouse-sandbox: ID` and `x-dormouse-port: N` is passed to that port of the guest
 * (upgrades too). The gateway strips all `x-dormouse-*` headers. When it cannot, it answers JSON of the shape
 * `{ sandboxId, message, code, port? }` as in the public contract (section 3.4).
 */
export const GATEWAY_TOKEN_HEADER = 'x-dormouse-gateway-token';
export const GATEWAY_SANDBOX_HEADER = 'x-dormouse-sandbox';
export const GATEWAY_PORT_HEADER = 'x-dormouse-port';
/**
 * In an answer: the request was refused because the machine sleeps, or is on its way there or back. It has not reached
 * the guest, and to one that expected `100 Continue` none was said: it can be sent again once the machine runs.
 */
export const GATEWAY_ASLEEP_HEADER = 'x-dormouse-asleep';
/** `saved`: a resume is what it needs. `changing`: perhaps only time. */
export type Asleep = 'saved' | 'changing';

/** Port of the guest agent inside every guest. */
export const AGENT_PORT = 49_983;

/** Asked of the agent to see whether a sandbox lives: neither keeps one awake nor wakes one. */
const PASSIVE_PATHS = new Set(['/health', '/metrics']);

export const isPassive = (method: string, path: string): boolean =>
  (method === 'GET' || method === 'HEAD') && PASSIVE_PATHS.has(path);

export const asksHealth = (method: string | undefined, url: string | undefined, port: number): boolean =>
  port === AGENT_PORT && (method === 'GET' || method === 'HEAD') && url?.split('?', 1)[0] === '/health';

/** Of an answer of the agent. */
export const isConnectStream = (headers: { 'content-type'?: string | undefined }): boolean =>
  headers['content-type']?.startsWith('application/connect+json') === true;

/** Whose a request is. The owner's: it showed what opens the sandbox's agent. */
export type Whose = 'owner' | 'stranger';

/** A part of a sandbox's connections is kept for its owner: strangers may use its public ports, and cannot take them all. */
export const forStrangers = (limit: number): number => Math.max(1, limit - Math.ceil(limit / 4));

export interface HostReport {
  hostId: string;
  templates: TemplateReport[];
  /** What a create could still reserve. */
  free: { memoryMiB: number; diskMiB: number };
  /** Machines of the warm pool that a create can ask for; absent: none. */
  warm?: WarmReport[];
}

export interface WarmReport {
  /** Of the sandbox that it becomes. */
  id: string;
  templateKey: string;
}

export interface TemplateReport {
  templateKey: string;
  /** Names under which clients ask for it; `base` among them. The newest template of a name is the one that has it. */
  names: string[];
  cpuCount: number;
  memoryMiB: number;
  diskMiB: number;
  envdVersion: string;
  createdAt: number;
}

/** What a guest used at one moment of the host's clock (epoch milliseconds); sizes in bytes. */
export interface MetricSample {
  at: number;
  cpuCount: number;
  cpuUsedPct: number;
  memTotal: number;
  memUsed: number;
  memCache: number;
  diskTotal: number;
  diskUsed: number;
}

/** Something that happened to a sandbox, or to a process in it. `fields.source` says who tells: `host` or `agent`. */
export interface LogEntry {
  at: number;
  level: 'debug' | 'info' | 'warn' | 'error';
  message: string;
  fields: Record<string, string>;
}

/** In place of a sandbox's view: what the host has of it is damaged or not authentic, so that it says nothing. */
export interface UnreadableSandbox {
  unreadable: true;
}

/** What a signature is looked for in: never more of a sandbox than that. */
export interface NewestList {
  newest: { id: string; tokenNonce?: string; startedAt: number }[];
}

/** Of sandboxes that are still there; by template key. */
export interface TemplateUses {
  uses: Record<string, { count: number; lastAt: number }>;
}

export interface SampleList {
  samples: MetricSample[];
}

export interface LatestSamples {
  samples: Record<string, MetricSample>;
}

export interface LogList {
  entries: LogEntry[];
}
