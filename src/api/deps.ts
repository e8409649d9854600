import type { Logger } from 'pino';
import type { HostDirectory } from './host-directory.js';
import type { Join } from './join.js';
import type { SandboxClient } from './sandbox-client.js';
import type { UpdateIds } from './update-ids.js';

/** What `createApp` is handed. */
export interface AppDeps {
  client: SandboxClient;
  directory: Omit<HostDirectory, 'locate' | 'ids' | 'close'>;
  keys: { tenantOf(key: string): Promise<string | undefined> };
  /** The master key's subkeys `tokens` and `fields`. */
  tokensKey: Buffer;
  fieldsKey: Buffer;
  /** Sent to clients; null leaves them their own. */
  domain: string | null;
  maxTimeoutMs: number;
  pausedRetentionMs: number;
  log: Logger;
}

/** What a route is handed: the same, and what the routes share while the process runs. */
export interface ApiDeps extends AppDeps {
  join: Join;
  updateIds: UpdateIds;
}
