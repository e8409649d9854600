import type { Logger } from 'pino';
import type { Admission } from '../tenants/admission.js';
import type { TenantConnections } from '../tenants/connections.js';
import type { TenantRates } from '../tenants/rates.js';
import type { AskedFor } from './create-from-pool.js';
import type { HostDirectory } from './host-directory.js';
import type { Join } from './join.js';
import type { SandboxClient } from './sandbox-client.js';
import type { UpdateIds } from './update-ids.js';

/** What every route is handed. */
export interface ApiDeps {
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
  /** Shared by all routes and by traffic that wakes, while the process runs. */
  join: Join;
  updateIds: UpdateIds;
  askedFor: AskedFor;
  admission: Admission;
  rates: TenantRates;
  connections: TenantConnections;
  log: Logger;
}
