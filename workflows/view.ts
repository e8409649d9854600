/**
 * Wire shapes between workflow, host and api. Plain JSON only (no Date, Map, class); every time is absolute,
 * in epoch milliseconds, and named `...At`. All of it is readable in Temporal's UI: nothing secret, ever.
 */

export type SandboxStatus =
  | 'creating'
  | 'running'
  | 'pausing'
  | 'paused'
  | 'resuming'
  | 'killing'
  | 'killed'
  /** Ended without being asked to: create failed, machine died, image unusable. `reason` says which. */
  | 'failed';

export type TimeoutPolicy = 'kill' | 'pause';

/** What was asked for at create; never changes, but that a warm machine gets the whole of it from the create that takes it, and its tokens are rotated. */
export interface SandboxSpec {
  id: string;
  tenant: string;
  hostId: string;
  /** The template's id for clients: its first name, however the client named it. */
  templateId: string;
  /** Content key of the template that the api resolved it to; see `src/template`. */
  templateKey: string;
  cpuCount: number;
  memoryMiB: number;
  diskMiB: number;
  envdVersion: string;
  metadata: Record<string, string>;
  /** Sealed field (see `src/keys/sealed-field.ts`): JSON of the sandbox's environment variables; absent when there are none. */
  sealedEnv?: string;
  /** The sandbox's tokens are derived from it (see `src/keys/access-token.ts`); a rotation replaces it. Absent in old ones. */
  tokenNonce?: string;
  /** Keyed digest of the create request, when it came with an `Idempotency-Key`; tells a repeat from another request. */
  requestDigest?: string;
  allowInternetAccess: boolean;
  /** False: ports other than the agent's need the traffic access token. Absent: anybody may reach them. */
  allowPublicTraffic?: boolean;
  /** `Host` that servers in the guest see instead of the one asked for; `${PORT}` stands for the port. */
  maskRequestHost?: string;
  timeoutMs: number;
  onTimeout: TimeoutPolicy;
  /** What an automatic pause keeps; absent: memory. */
  autoPauseKeeps?: 'disk';
  /** A request to the sleeping sandbox wakes it. */
  autoResume: boolean;
  /** How long a paused sandbox is kept, from the moment of pausing. */
  pausedRetentionMs: number;
  /** Of the warm pool: made ahead of time, nobody's until a create takes it. Never seen by a client, never paused. */
  warm?: true;
}

/** What outlives a pause: everything, or the disk alone (a clean shutdown; the next start is a boot). */
export type Keep = 'memory' | 'disk';

/** What a sleeping sandbox is started from again, as the workflow remembers it. */
export type SavedImage = MemoryImage | DiskImage;

/** The sandbox's disk as its last machine left it; there is no image file. */
export interface DiskImage {
  kind: 'disk';
  /** Of the step that made it the one to start from. */
  generation: number;
  savedAt: number;
}

/** A durable save image: resume refuses any other. */
export interface MemoryImage {
  /** Absent in those from before there were others. */
  kind?: 'memory';
  generation: number;
  /** SHA-256, hex; of what, docs/sealed-format.md says. */
  digest: string;
  /** Of the file that this pause wrote; it may refer to files of earlier ones. */
  bytes: number;
  savedAt: number;
}

/** The answer of the query `get`, and a row of the host's index. */
export interface SandboxView {
  spec: SandboxSpec;
  status: SandboxStatus;
  generation: number;
  /** Start of this sandbox (kept over pause and resume). */
  startedAt: number;
  /** The present one; `spec` has that of the create. Absent in views from before there was this. */
  timeoutMs?: number;
  /** While running: the kill deadline, or the next check of idleness. While paused: the expiry. */
  endAt: number;
  pausedAt?: number;
  image?: SavedImage;
  /** Why the sandbox is in this status, one sentence for people. */
  reason: string;
  /** Set while the image of a paused sandbox is known to fail authentication. */
  damaged?: string;
  lastError?: { code: string; message: string; at: number };
}

/**
 * What a workflow says of its sandbox in steps and answers: all but the spec, of which only what is no longer as it was
 * asked for. A spec may be large, and whoever they are for has it; those of earlier versions have the whole.
 */
export type SandboxChange = Omit<SandboxView, 'spec'> & { spec?: Partial<SandboxSpec> };

export const wholeView = (spec: SandboxSpec, change: SandboxChange): SandboxView => ({
  ...change,
  spec: { ...spec, ...change.spec },
});
