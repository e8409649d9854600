import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import type { SandboxView } from '../../workflows/view.js';
import type { TenantUse } from '../tenants/use.js';
import type { Activity } from './activity.js';
import type { HostReport, LogEntry, MetricSample } from './wire.js';

export interface GuestAddress {
  host: string;
  port: number;
}

/** The way to a running guest. */
export interface GuestRoute {
  /** Of the guest's agent. */
  address: GuestAddress;
  /** The sandbox's access token, for tunnels through the agent. */
  token: string;
  /** False while the machine is being made, saved or restored: requests are refused for the moment. */
  open: boolean;
}

export interface GatewayDeps {
  /** What every caller must show; see `gatewayToken`. */
  token: string;
  index: {
    list(): SandboxView[];
    get(id: string): SandboxView | undefined;
    /** There is something of it here that cannot be believed. */
    isUnreadable(id: string): boolean;
  };
  report(): Promise<HostReport>;
  /** What a tenant's sandboxes take up here; of those that are named, what each counts for while it sleeps. */
  use(tenant: string, named: readonly string[]): TenantUse;
  /** What is kept of a sandbox for its owner; only asked for sandboxes of the index. */
  journal: {
    /** With a sample of now, if it runs and answers soon. */
    samples(id: string): Promise<MetricSample[]>;
    latest(id: string): Promise<MetricSample | undefined>;
    entries(id: string): Promise<LogEntry[]>;
  };
  /** Undefined: there is no machine that runs (unknown, paused, ended). */
  route(id: string): GuestRoute | undefined;
  /** Opens a connection to a port of the guest's localhost through its agent. Rejects when the port is not open. */
  dial(address: GuestAddress, token: string, port: number, signal: AbortSignal): Promise<Duplex>;
  activity: Activity;
  /** Requests and upgraded connections that one sandbox may have open at a time. */
  connectionLimit: number;
  log: Logger;
}
