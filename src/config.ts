import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import ms, { type StringValue } from 'ms';
import { z } from 'zod';

/**
 * All configuration of every role: environment variables `DORMOUSE_*`, read once, here and nowhere else.
 * Mains call `readConfig(process.env)` and hand parts of the result on; no other module touches the environment.
 */

const duration = z.string().transform((text, ctx): number => {
  const value = /^[0-9.]+ *[a-z]+$/i.test(text.trim()) ? ms(text.trim() as StringValue) : undefined;
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) {
    ctx.addIssue({ code: 'custom', message: `"${text}" is not a duration such as "30 days", "20s" or "10m"` });
    return z.NEVER;
  }
  return value;
});
/** `off` is null: zod would put the default in the place of undefined. */
const durationOrOff = z.union([z.literal('off').transform(() => null), duration]);
const port = z.coerce.number().int().min(1).max(65_535);
const count = z.coerce.number().int().positive();
/** `off` is null, as above. */
const countOrOff = z.union([z.literal('off').transform(() => null), z.coerce.number().int().nonnegative()]);
const rateOrOff = z.union([z.literal('off').transform(() => null), count]);
const flag = z
  .enum(['1', '0', 'true', 'false', 'yes', 'no'])
  .transform((text) => text === '1' || text === 'true' || text === 'yes');
const list = z.string().transform((text) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== ''),
);

/** A call of libvirt holds one of libuv's threads until it returns, and files need some as well. */
export const HOST_THREADS = 96;

const schema = z.object({
  /** Node's own: threads of this process for calls that wait. A host worker refuses to start with fewer than 96. */
  UV_THREADPOOL_SIZE: count.default(4),

  /** Root of everything that Dormouse keeps: templates, tools, state. Must be reachable for QEMU's user. */
  DORMOUSE_HOME: z.string().default('/var/lib/dormouse'),
  /** State of this service: keys, manifests, images, Temporal's database. */
  DORMOUSE_STATE_DIR: z.string().optional(),
  DORMOUSE_TEMPLATE_DIR: z.string().optional(),
  DORMOUSE_HOST_ID: z
    .string()
    .regex(/^[a-zA-Z0-9][a-zA-Z0-9-]{0,62}$/)
    .optional(),
  DORMOUSE_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('info'),

  /** Base URL of an OpenTelemetry collector (OTLP over HTTP) to which every role sends its traces. */
  DORMOUSE_OTLP_ENDPOINT: z.url().optional(),
  /** File to which every role appends its spans, one line of JSON each. */
  DORMOUSE_TRACE_FILE: z.string().optional(),

  DORMOUSE_LISTEN: z.string().default('127.0.0.1'),
  /** Without a certificate only loopback is listened on: keys and tokens would cross the network in the clear. `yes` where a
   * proxy of yours in front of the service speaks TLS. */
  DORMOUSE_PLAIN_HTTP: flag.default(false),
  DORMOUSE_API_PORT: port.default(3000),
  DORMOUSE_PROXY_PORT: port.default(3001),
  DORMOUSE_GATEWAY_PORT: port.default(3002),
  /** Requests and WebSockets that one sandbox may have open at a time. */
  DORMOUSE_CONNECTION_LIMIT: count.default(1_000),
  /** `hostId=url` pairs: the gateways that the api serves. Default: the one on this machine. */
  DORMOUSE_HOSTS: list.optional(),
  /** Domain of public URLs `<port>-<id>.<domain>`, as sent to clients; `api.<domain>` at the same port is the api. */
  DORMOUSE_DOMAIN: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?$/i, 'expected a host name, with or without a port')
    .optional(),
  /** Certificate chain and key (PEM): api and data plane then speak HTTPS only. Changed files count within seconds. */
  DORMOUSE_TLS_CERT_FILE: z.string().optional(),
  DORMOUSE_TLS_KEY_FILE: z.string().optional(),
  /** `local`: `make up` makes both, for this machine and the domain, under an authority of their own. */
  DORMOUSE_TLS: z.enum(['off', 'local']).default('off'),

  DORMOUSE_TEMPORAL_ADDRESS: z.string().optional(),
  DORMOUSE_TEMPORAL_NAMESPACE: z.string().default('default'),
  DORMOUSE_TEMPORAL_TLS: flag.default(false),
  DORMOUSE_TEMPORAL_TLS_CA_FILE: z.string().optional(),
  DORMOUSE_TEMPORAL_TLS_CERT_FILE: z.string().optional(),
  DORMOUSE_TEMPORAL_TLS_KEY_FILE: z.string().optional(),
  /** A file, so that the key stands in no process's environment listing. */
  DORMOUSE_TEMPORAL_API_KEY_FILE: z.string().optional(),
  DORMOUSE_TEMPORAL_PORT: port.default(7233),
  DORMOUSE_TEMPORAL_UI_PORT: port.default(8233),
  /** Path of the `temporal` program for the embedded server; found or built by set-up when absent. */
  DORMOUSE_TEMPORAL_CLI: z.string().optional(),

  DORMOUSE_MASTER_KEY_FILE: z.string().optional(),
  DORMOUSE_API_KEYS_FILE: z.string().optional(),

  DORMOUSE_LIBVIRT_URI: z.string().default('qemu:///system'),
  /** First of the unix user ids that sandboxes' QEMU processes get, one each. */
  DORMOUSE_UID_BASE: count.default(1_879_048_192),
  DORMOUSE_UID_COUNT: count.default(65_536),
  /** `auto` probes KVM once per boot of the host. */
  DORMOUSE_ACCELERATOR: z.enum(['auto', 'kvm', 'tcg']).default('auto'),
  /** Host memory that admission never gives away, MiB. */
  DORMOUSE_RESERVED_MEMORY_MIB: z.coerce.number().int().nonnegative().default(1024),
  /** Disk of the state directory for Temporal's database, keys, manifests and logs, MiB: guests that would grow into it are held. */
  DORMOUSE_RESERVED_DISK_MIB: z.coerce.number().int().nonnegative().default(2048),
  /**
   * The disks of all sandboxes may come to need so many times the room that is kept free for them. 1: each can be filled at
   * any time, and fewer sandboxes fit.
   */
  DORMOUSE_DISK_OVERCOMMIT: z.coerce.number().min(1).default(4),
  /** Of the disks of one tenant's busy guests on one host together, MiB per second. 0: no limit. */
  DORMOUSE_DISK_RATE_MIB: z.coerce.number().int().nonnegative().default(256),
  DORMOUSE_ALLOW_PRIVATE_NETWORKS: list.default([]),
  /** Whether guests may reach mail servers on port 25, as those who send spam do. */
  DORMOUSE_ALLOW_SMTP: flag.default(false),
  /**
   * Machines of the newest template that each host keeps running for creates to take over. Each has the whole memory of a
   * sandbox while nobody needs that room. 0: none.
   */
  DORMOUSE_WARM_POOL: z.coerce.number().int().nonnegative().default(0),
  /** LUKS overlays made ahead of time per template. */
  DORMOUSE_OVERLAY_POOL: z.coerce.number().int().nonnegative().default(3),
  /** Copies of the newest template's memory made ahead of time, in tmpfs; given up when memory is short. */
  DORMOUSE_MEMORY_POOL: z.coerce.number().int().nonnegative().default(1),
  /**
   * So long before a sandbox's timeout pauses it, its memory is sealed already; what has not changed by then need not be
   * sealed again. `off`: all of it is sealed by the pause.
   */
  DORMOUSE_SEAL_AHEAD: durationOrOff.default(30_000),

  /** How often each host looks for what was left behind, and how old that must be. */
  DORMOUSE_REAP_EVERY: duration.default(60_000),
  DORMOUSE_REAP_AGE: duration.default(60_000),
  /** Tests of crashes only: see `activities/crash-switch.ts`. Absent: no such points. */
  DORMOUSE_CRASH_POINTS_FILE: z.string().optional(),

  /** What becomes of a sandbox whose guest has crashed: it ends, with the reason, or it reboots and keeps its disk. */
  DORMOUSE_ON_CRASH: z.enum(['end', 'reboot']).default('end'),
  /**
   * A guest whose agent does not answer for so long, though its virtual CPUs run, has crashed. `off`: only a kernel that
   * panics has.
   */
  DORMOUSE_UNRESPONSIVE_AFTER: durationOrOff
    .refine((ms) => ms === null || ms >= 30_000, 'expected at least 30s: less leaves no time to ask')
    .default(40_000),

  /**
   * `make up` builds a template anew that is older: guests get the packages of the day of the build. `off`: it stays until
   * something that it is made of changes.
   */
  DORMOUSE_TEMPLATE_MAX_AGE: durationOrOff.default(30 * 24 * 3_600_000),

  DORMOUSE_SANDBOX_CPUS: count.default(2),
  DORMOUSE_SANDBOX_MEMORY_MIB: count.default(512),
  DORMOUSE_SANDBOX_DISK_MIB: count.default(4096),

  /**
   * What a tenant may use, unless an operator has set it otherwise for that tenant. `off`: as much as there is. The defaults
   * suit a service with one owner.
   */
  DORMOUSE_TENANT_RUNNING_SANDBOXES: countOrOff.default(1_000),
  DORMOUSE_TENANT_CPUS: countOrOff.default(null),
  DORMOUSE_TENANT_MEMORY_MIB: countOrOff.default(null),
  DORMOUSE_TENANT_DISK_MIB: countOrOff.default(null),
  DORMOUSE_TENANT_SLEEPING_SANDBOXES: countOrOff.default(100_000),
  DORMOUSE_TENANT_SLEEPING_MIB: countOrOff.default(null),
  DORMOUSE_TENANT_CREATES_PER_MINUTE: rateOrOff.default(6_000),
  DORMOUSE_TENANT_REQUESTS_PER_SECOND: rateOrOff.default(1_000),
  /** Requests and WebSockets that all of a tenant's sandboxes, and its calls of the api, have open at a time. */
  DORMOUSE_TENANT_CONNECTIONS: rateOrOff.default(10_000),
  /** Limits of single tenants, as the operator's API sets them, and the key that opens that. */
  DORMOUSE_TENANTS_FILE: z.string().optional(),
  DORMOUSE_OPERATOR_KEY_FILE: z.string().optional(),

  DORMOUSE_PAUSED_RETENTION: duration.default(30 * 24 * 3_600_000),
  DORMOUSE_MAX_TIMEOUT: duration.default(24 * 3_600_000),
});

export type Config = ReturnType<typeof readConfig>;

/** @throws Error that names every variable that is wrong, and why. */
export function readConfig(env: NodeJS.ProcessEnv) {
  const known = Object.fromEntries(
    Object.entries(env).filter(([name, value]) => name in schema.shape && value !== undefined && value !== ''),
  );
  const parsed = schema.safeParse(known);
  if (!parsed.success) {
    const wrong = parsed.error.issues.map((issue) => `  ${issue.path.join('.')}: ${issue.message}`).join('\n');
    throw new Error(`the configuration is wrong; correct these environment variables:\n${wrong}`);
  }
  const v = parsed.data;
  const stateDir = v.DORMOUSE_STATE_DIR ?? path.join(v.DORMOUSE_HOME, 'state');
  const hostId = v.DORMOUSE_HOST_ID ?? defaultHostId();
  const tls = tlsOf(v, stateDir);
  // No client accepts a wildcard right below a top-level name.
  const givenDomain = v.DORMOUSE_DOMAIN ?? (tls?.local === undefined ? 'localhost' : 'dormouse.localhost');
  const domain = givenDomain.replace(/:\d+$/, '');
  if (tls?.local !== undefined && !domain.includes('.')) {
    throw new Error(
      `DORMOUSE_TLS=local needs a DORMOUSE_DOMAIN with a dot, such as dormouse.localhost, not "${domain}"`,
    );
  }
  const home = v.DORMOUSE_HOME;
  const templateDir = v.DORMOUSE_TEMPLATE_DIR ?? path.join(home, 'templates');
  requireUsablePath('DORMOUSE_STATE_DIR', stateDir, LONGEST_STATE_PATH);
  requireUsablePath('DORMOUSE_TEMPLATE_DIR', templateDir);
  if (tls === undefined && !v.DORMOUSE_PLAIN_HTTP && !isLoopback(v.DORMOUSE_LISTEN)) {
    throw new Error(
      `DORMOUSE_LISTEN=${v.DORMOUSE_LISTEN} without a certificate would send keys and tokens over the network in the clear. ` +
        'Set DORMOUSE_TLS=local or DORMOUSE_TLS_CERT_FILE and DORMOUSE_TLS_KEY_FILE; or set DORMOUSE_PLAIN_HTTP=yes if a proxy in front speaks TLS.',
    );
  }
  return {
    threads: v.UV_THREADPOOL_SIZE,
    home,
    toolsDir: path.join(home, 'tools'),
    stateDir,
    templateDir,
    hostId,
    logLevel: v.DORMOUSE_LOG_LEVEL,
    tracing: { otlpEndpoint: v.DORMOUSE_OTLP_ENDPOINT, file: v.DORMOUSE_TRACE_FILE },
    listen: v.DORMOUSE_LISTEN,
    apiPort: v.DORMOUSE_API_PORT,
    proxyPort: v.DORMOUSE_PROXY_PORT,
    gatewayPort: v.DORMOUSE_GATEWAY_PORT,
    connectionLimit: v.DORMOUSE_CONNECTION_LIMIT,
    hosts: parseHosts(v.DORMOUSE_HOSTS) ?? [{ hostId, url: `http://127.0.0.1:${v.DORMOUSE_GATEWAY_PORT}` }],
    /** Without a port. */
    domain,
    /** As sent to clients. `*.localhost` leads to this machine, where the proxy is found by its port only. */
    publicDomain: /(^|\.)localhost$/.test(givenDomain) ? `${domain}:${v.DORMOUSE_PROXY_PORT}` : givenDomain,
    tls,
    temporal: {
      /** Absent: `make up` runs its own server. */
      external: v.DORMOUSE_TEMPORAL_ADDRESS !== undefined,
      address: v.DORMOUSE_TEMPORAL_ADDRESS ?? `127.0.0.1:${v.DORMOUSE_TEMPORAL_PORT}`,
      namespace: v.DORMOUSE_TEMPORAL_NAMESPACE,
      tls: v.DORMOUSE_TEMPORAL_TLS,
      tlsCaFile: v.DORMOUSE_TEMPORAL_TLS_CA_FILE,
      tlsCertFile: v.DORMOUSE_TEMPORAL_TLS_CERT_FILE,
      tlsKeyFile: v.DORMOUSE_TEMPORAL_TLS_KEY_FILE,
      apiKeyFile: v.DORMOUSE_TEMPORAL_API_KEY_FILE,
      port: v.DORMOUSE_TEMPORAL_PORT,
      uiPort: v.DORMOUSE_TEMPORAL_UI_PORT,
      cli: v.DORMOUSE_TEMPORAL_CLI,
    },
    masterKeyFile: v.DORMOUSE_MASTER_KEY_FILE ?? path.join(stateDir, 'master.key'),
    apiKeysFile: v.DORMOUSE_API_KEYS_FILE ?? path.join(stateDir, 'api-keys.json'),
    tenantsFile: v.DORMOUSE_TENANTS_FILE ?? path.join(stateDir, 'tenants.json'),
    operatorKeyFile: v.DORMOUSE_OPERATOR_KEY_FILE ?? path.join(stateDir, 'operator.key'),
    tenantLimits: {
      runningSandboxes: v.DORMOUSE_TENANT_RUNNING_SANDBOXES,
      cpus: v.DORMOUSE_TENANT_CPUS,
      memoryMiB: v.DORMOUSE_TENANT_MEMORY_MIB,
      diskMiB: v.DORMOUSE_TENANT_DISK_MIB,
      sleepingSandboxes: v.DORMOUSE_TENANT_SLEEPING_SANDBOXES,
      sleepingMiB: v.DORMOUSE_TENANT_SLEEPING_MIB,
      createsPerMinute: v.DORMOUSE_TENANT_CREATES_PER_MINUTE,
      requestsPerSecond: v.DORMOUSE_TENANT_REQUESTS_PER_SECOND,
      connections: v.DORMOUSE_TENANT_CONNECTIONS,
    },
    libvirtUri: v.DORMOUSE_LIBVIRT_URI,
    uidBase: v.DORMOUSE_UID_BASE,
    uidCount: v.DORMOUSE_UID_COUNT,
    accelerator: v.DORMOUSE_ACCELERATOR,
    reservedMemoryMiB: v.DORMOUSE_RESERVED_MEMORY_MIB,
    reservedDiskMiB: v.DORMOUSE_RESERVED_DISK_MIB,
    diskOvercommit: v.DORMOUSE_DISK_OVERCOMMIT,
    /** Bytes per second. Undefined: no limit. */
    diskRate: v.DORMOUSE_DISK_RATE_MIB === 0 ? undefined : v.DORMOUSE_DISK_RATE_MIB * 1024 * 1024,
    allowPrivateNetworks: v.DORMOUSE_ALLOW_PRIVATE_NETWORKS,
    allowSmtp: v.DORMOUSE_ALLOW_SMTP,
    warmPool: v.DORMOUSE_WARM_POOL,
    overlayPool: v.DORMOUSE_OVERLAY_POOL,
    memoryPool: v.DORMOUSE_MEMORY_POOL,
    /** Undefined: off. */
    sealAheadMs: v.DORMOUSE_SEAL_AHEAD ?? undefined,
    reapEveryMs: v.DORMOUSE_REAP_EVERY,
    reapAgeMs: v.DORMOUSE_REAP_AGE,
    onCrash: v.DORMOUSE_ON_CRASH,
    /** Undefined: off. */
    unresponsiveAfterMs: v.DORMOUSE_UNRESPONSIVE_AFTER ?? undefined,
    crashPointsFile: v.DORMOUSE_CRASH_POINTS_FILE,
    /** Undefined: off. */
    templateMaxAgeMs: v.DORMOUSE_TEMPLATE_MAX_AGE ?? undefined,
    sandbox: {
      cpuCount: v.DORMOUSE_SANDBOX_CPUS,
      memoryMiB: v.DORMOUSE_SANDBOX_MEMORY_MIB,
      diskMiB: v.DORMOUSE_SANDBOX_DISK_MIB,
    },
    pausedRetentionMs: v.DORMOUSE_PAUSED_RETENTION,
    maxTimeoutMs: v.DORMOUSE_MAX_TIMEOUT,
  };
}

/** A unix socket's path has at most 107 bytes; below the state directory `memory/<id>/qmp` follows, an id of 40 at most. */
const LONGEST_STATE_PATH = 107 - '/memory/'.length - 40 - '/qmp'.length;

/** QEMU takes a comma for the end of an option, and its own quoting is not understood everywhere. */
function requireUsablePath(variable: string, value: string, longest = Infinity): void {
  const wrong = !path.isAbsolute(value)
    ? 'must begin with "/"'
    : /[,\p{Cc}]/u.test(value)
      ? 'must have no comma and no control character, which QEMU would misread'
      : Buffer.byteLength(value) > longest
        ? `must have at most ${longest} bytes, so that a unix socket fits below it`
        : undefined;
  if (wrong !== undefined) throw new Error(`${variable}: "${value}" ${wrong}`);
}

const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || /^127\./.test(host);

function tlsOf(
  v: z.output<typeof schema>,
  stateDir: string,
): { certFile: string; keyFile: string; local?: { caFile: string; bundleFile: string } } | undefined {
  const { DORMOUSE_TLS: mode, DORMOUSE_TLS_CERT_FILE: certFile, DORMOUSE_TLS_KEY_FILE: keyFile } = v;
  if (certFile === undefined && keyFile === undefined) {
    if (mode === 'off') return undefined;
    const at = (name: string): string => path.join(stateDir, 'tls', name);
    const local = { caFile: at('ca.pem'), bundleFile: at('ca-bundle.pem') };
    return { certFile: at('server.pem'), keyFile: at('server.key'), local };
  }
  if (certFile === undefined || keyFile === undefined) {
    throw new Error('DORMOUSE_TLS_CERT_FILE and DORMOUSE_TLS_KEY_FILE go together; set both or none');
  }
  if (mode === 'local') throw new Error('DORMOUSE_TLS=local makes a certificate: unset it, or the files that you give');
  return { certFile, keyFile };
}

function parseHosts(pairs: string[] | undefined): { hostId: string; url: string }[] | undefined {
  return pairs?.map((pair) => {
    const at = pair.indexOf('=');
    if (at < 1) throw new Error(`DORMOUSE_HOSTS: "${pair}" is not hostId=url`);
    return { hostId: pair.slice(0, at), url: pair.slice(at + 1) };
  });
}

/** Stable across restarts; not the bare machine id, which systemd asks programs to keep to themselves. */
function defaultHostId(): string {
  try {
    return `h${readFileSync('/etc/machine-id', 'utf8').trim().slice(0, 12)}`;
  } catch {
    return (
      hostname()
        .replace(/[^a-zA-Z0-9-]/g, '-')
        .replace(/^-+/, '') || 'host'
    );
  }
}
