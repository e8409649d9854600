import { createServer, type RequestListener, type Server } from 'node:http';
import type { Server as TlsServer } from 'node:https';
import { connect, type AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { pino } from 'pino';
import type { ErrorCode } from '../../workflows/errors.js';
import type { ResumeInput, ResumeResult, RotateInput, SetTimeoutInput } from '../../workflows/messages.js';
import type { SandboxSpec, SandboxView } from '../../workflows/view.js';
import { createApiServer, REQUEST_MS } from '../../src/api/api-server.js';
import { createApp } from '../../src/api/app.js';
import { AskedFor } from '../../src/api/create-from-pool.js';
import { ApiError } from '../../src/api/errors.js';
import { Join } from '../../src/api/join.js';
import type { OperatorDeps } from '../../src/api/operator/routes.js';
import { UpdateIds } from '../../src/api/update-ids.js';
import { createWake } from '../../src/api/wake.js';
import { createHostDirectory, type Host, type HostDirectory } from '../../src/api/host-directory.js';
import type { SandboxClient } from '../../src/api/sandbox-client.js';
import { Activity } from '../../src/gateway/activity.js';
import { createGateway } from '../../src/gateway/gateway.js';
import type { GuestAddress } from '../../src/gateway/gateway-deps.js';
import type { HostReport, LogEntry, MetricSample } from '../../src/gateway/wire.js';
import { dialTunnel } from '../../src/guest/client.js';
import { accessToken } from '../../src/keys/access-token.js';
import { createProxy } from '../../src/proxy/proxy.js';
import { Admission } from '../../src/tenants/admission.js';
import { TenantConnections } from '../../src/tenants/connections.js';
import { TenantRates } from '../../src/tenants/rates.js';
import type { Limits, OwnLimits } from '../../src/tenants/limits.js';
import type { TenantUse } from '../../src/tenants/use.js';
import { NO_LIMITS } from '../tenants/limits.js';
import { streamServer } from '../../src/relay/stream-server.js';
import { SearchLimits } from '../../src/proxy/search-limits.js';

export const TOKENS_KEY = Buffer.alloc(32, 1);
export const FIELDS_KEY = Buffer.alloc(32, 2);
const GATEWAY_TOKEN = 'ab'.repeat(32);
const log = pino({ level: 'silent' });

/** A client's answer, read whole. */
export interface Answer {
  status: number;
  headers: Headers;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- bodies are looked at field by field
  body: any;
}

class CountedJoin extends Join {
  constructor(private readonly onAsked: () => void) {
    super();
  }

  override run<T>(name: string, work: () => Promise<T>): { outcome: Promise<T>; joined: boolean } {
    this.onAsked();
    return super.run(name, work);
  }
}

/** One host without machines: what the workflows and activities would do is done at once, in memory. */
export class FakeWorld implements SandboxClient {
  readonly views = new Map<string, SandboxView>();
  readonly calls: { verb: string; id: string; input?: unknown; updateId?: string }[] = [];
  readonly activity = new Activity();
  /** What the host has of these cannot be believed; their workflows know them. */
  readonly unreadable = new Set<string>();
  /** What the host keeps of each sandbox. */
  readonly samples = new Map<string, MetricSample[]>();
  readonly entries = new Map<string, LogEntry[]>();
  report: HostReport = {
    hostId: 'h1',
    templates: [
      {
        ...{ templateKey: 'k1', names: ['base'], cpuCount: 2, memoryMiB: 512, diskMiB: 4096 },
        ...{ envdVersion: '0.5.2', createdAt: 1 },
      },
    ],
    free: { memoryMiB: 4096, diskMiB: 9000 },
  };
  /** The next call of a verb fails with this. */
  readonly failNext = new Map<string, ErrorCode>();
  /** How long lifecycle verbs take, counted from when they go on. */
  delayMs = 0;
  /** How often a sandbox was looked for. */
  lookedUp = 0;
  /** A verb that is here goes on once this is true. */
  readonly waitsFor = new Map<string, () => boolean>();
  /** How often work was asked for that others may join. */
  asked = 0;
  /** Where the guests' agents listen. */
  guest: GuestAddress = { host: '127.0.0.1', port: 1 };
  /** The same for single sandboxes. */
  readonly guests = new Map<string, GuestAddress>();
  /** Ports of the guests' localhost that are open, and where they really are. */
  readonly guestPorts = new Map<number, number>();
  /** Ports are reached through the agent, as they are on a host, and not at `guestPorts`. */
  throughAgent = false;
  dials = 0;
  /** A dial takes as long as this. */
  dialling: Promise<void> = Promise.resolve();
  holdMs = 50_000;
  connectionLimit = 1_000;
  /** Within this a request to the control plane has to come whole. */
  requestMs = REQUEST_MS;
  /** The proxy speaks HTTPS with these. */
  secure: { cert: Buffer; key: Buffer } | undefined;
  domain: string | null = 'test.example';
  /** Of tenants; absent: none. */
  limits: Record<string, OwnLimits> = {};
  /** Milliseconds, of the rates. */
  clock: () => number = () => performance.now();
  /** Milliseconds, of the searches for a signature's sandbox. */
  searchClock: () => number = () => performance.now();
  readonly connections = new TenantConnections((tenant) => this.limitsOf(tenant).connections);

  /** Real parts that the operator's API and the tenants' keys and limits go to; absent: two keys, limits as in `limits`. */
  #operated: Pick<OperatorDeps, 'operatorKey' | 'keys' | 'tenants' | 'log'> | undefined;

  apiUrl = '';
  proxyUrl = '';
  proxyPort = 0;
  gatewayUrl = '';
  directory!: HostDirectory;
  gateway!: Server;
  proxy!: Server | TlsServer;
  #servers: (Server | TlsServer)[] = [];
  readonly #join = new CountedJoin(() => (this.asked += 1));

  with(operated: Pick<OperatorDeps, 'operatorKey' | 'keys' | 'tenants' | 'log'>): this {
    this.#operated = operated;
    return this;
  }

  async start(extraHosts: Host[] = []): Promise<this> {
    this.gateway = createGateway({
      token: GATEWAY_TOKEN,
      index: {
        list: () => [...this.views.values()],
        get: (id) => {
          this.lookedUp += 1;
          return this.unreadable.has(id) ? undefined : this.views.get(id);
        },
        isUnreadable: (id) => this.unreadable.has(id),
      },
      report: () => Promise.resolve(this.report),
      use: (tenant, named) => this.useOf(tenant, named),
      route: (id) => {
        const status = this.views.get(id)?.status;
        if (status !== 'running' && status !== 'pausing') return undefined;
        return {
          address: this.guests.get(id) ?? this.guest,
          token: accessToken(TOKENS_KEY, this.views.get(id)?.spec ?? { id }),
          open: status === 'running',
        };
      },
      journal: {
        samples: (id) => Promise.resolve(this.samples.get(id) ?? []),
        latest: (id) => Promise.resolve(this.samples.get(id)?.at(-1)),
        entries: (id) => Promise.resolve(this.entries.get(id) ?? []),
      },
      dial: (address, token, port, signal) =>
        this.throughAgent ? dialTunnel(address, token, port, signal) : this.#dial(port, signal),
      activity: this.activity,
      connectionLimit: this.connectionLimit,
      log,
    });
    this.gatewayUrl = await this.listen(this.gateway);
    this.directory = createHostDirectory([{ hostId: 'h1', url: this.gatewayUrl }, ...extraHosts], GATEWAY_TOKEN, log);
    const lifecycle = {
      ...{ client: this, directory: this.directory, join: this.#join, updateIds: new UpdateIds(this) },
      maxTimeoutMs: 24 * 3_600_000,
      admission: new Admission(
        (tenant) => this.limitsOf(tenant),
        async (tenant, named) => (await this.directory.use(tenant, named)).found,
      ),
    };
    const appDeps = {
      ...lifecycle,
      askedFor: new AskedFor(),
      rates: new TenantRates(
        (tenant) => this.limitsOf(tenant),
        () => this.clock(),
      ),
      connections: this.connections,
      keys: this.#operated?.keys ?? {
        tenantOf: (key: string) => Promise.resolve({ 'key-a': 'a', 'key-b': 'b' }[key]),
      },
      tokensKey: TOKENS_KEY,
      fieldsKey: FIELDS_KEY,
      domain: this.domain,
      pausedRetentionMs: 30 * 24 * 3_600_000,
      log: this.#operated?.log ?? log,
    };
    const { admission } = lifecycle;
    const operator =
      this.#operated === undefined
        ? undefined
        : { ...this.#operated, directory: this.directory, admission, connections: this.connections };
    this.apiUrl = await this.listen(createApiServer(createApp(appDeps, operator), undefined, this.requestMs));
    const deps = {
      ...{ locator: this.directory, wake: createWake(lifecycle), holdMs: this.holdMs, gatewayToken: GATEWAY_TOKEN },
      connections: this.connections,
      ...{
        connectionLimit: this.connectionLimit,
        searchLimits: new SearchLimits(() => this.searchClock()),
        tokensKey: TOKENS_KEY,
        log,
      },
      control: { host: 'api.sbx.test', serve: createApp(appDeps), withinMs: this.requestMs },
    };
    this.proxy = createProxy(deps, streamServer(this.secure));
    this.proxyUrl = await this.listen(this.proxy);
    this.proxyPort = (this.proxy.address() as AddressInfo).port;
    return this;
  }

  /** Starts a server on a free port of the loopback; `stop` ends it. @returns its URL. */
  async listen(server: Server | TlsServer): Promise<string> {
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  limitsOf(tenant: string): Limits {
    return this.#operated?.tenants.limitsOf(tenant) ?? { ...NO_LIMITS, ...(this.limits[tenant] as Limits | undefined) };
  }

  useOf(tenant: string, named: readonly string[]): TenantUse {
    const views = [...this.views.values()].filter(({ spec }) => spec.tenant === tenant);
    const asleep = views.filter(({ status }) => status === 'paused');
    return {
      awake: views
        .filter((view) => !asleep.includes(view))
        .map(({ spec: { id, cpuCount: cpus, memoryMiB, diskMiB, onTimeout } }) => ({
          ...{ id, cpus, memoryMiB, diskMiB, fallsAsleep: onTimeout === 'pause' },
        })),
      asleep: {
        ...{ count: asleep.length, diskMiB: asleep.length * 4096, bytes: asleep.length * 1024 * 1024 },
        bytesOf: Object.fromEntries(
          asleep.flatMap(({ spec: { id } }) => (named.includes(id) ? [[id, 1024 * 1024]] : [])),
        ),
      },
    };
  }

  /** A real server in place of the guests' agent. */
  async serveGuest(listener: RequestListener): Promise<Server> {
    const server = createServer(listener);
    this.guest = { host: '127.0.0.1', port: Number(new URL(await this.listen(server)).port) };
    return server;
  }

  /** What opens the agent of a sandbox. */
  access(id: string): { 'x-access-token': string } {
    return { 'x-access-token': accessToken(TOKENS_KEY, this.views.get(id)?.spec ?? { id }) };
  }

  async stop(): Promise<void> {
    for (const server of this.#servers) {
      server.close();
      server.closeAllConnections();
    }
    await this.directory.close();
  }

  /** A request to the api with the key of tenant a, unless told otherwise. */
  async api(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const response = await fetch(this.apiUrl + path, {
      method,
      headers: { 'x-api-key': 'key-a', ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) };
  }

  add(id: string, change: Partial<SandboxView> = {}, spec: Partial<SandboxSpec> = {}): SandboxView {
    const view: SandboxView = {
      spec: {
        ...{ id, tenant: 'a', hostId: 'h1', templateId: 'base', templateKey: 'k1', cpuCount: 2, memoryMiB: 512 },
        ...{ diskMiB: 4096, envdVersion: '0.5.2', metadata: {}, allowInternetAccess: true, timeoutMs: 300_000 },
        ...{ onTimeout: 'kill', autoResume: false, pausedRetentionMs: 1e9 },
        ...spec,
      },
      status: 'running',
      generation: 1,
      startedAt: Date.now(),
      endAt: Date.now() + 300_000,
      reason: 'for a test',
      ...change,
    };
    this.views.set(id, view);
    return view;
  }

  async create(spec: SandboxSpec, options: { mayExist: boolean }): Promise<SandboxView> {
    await this.#called('create', spec.id, options);
    const known = this.views.get(spec.id);
    if (known !== undefined && options.mayExist) return known;
    return this.add(spec.id, { endAt: Date.now() + spec.timeoutMs }, spec);
  }

  async assign(spec: SandboxSpec): Promise<SandboxView> {
    await this.#called('assign', spec.id);
    const { warm = [] } = this.report;
    if (!warm.some(({ id }) => id === spec.id)) throw new ApiError('NotWarm', `${spec.id} was taken`);
    this.report.warm = warm.filter(({ id }) => id !== spec.id);
    return this.add(spec.id, { endAt: Date.now() + spec.timeoutMs }, spec);
  }

  async discard(id: string): Promise<SandboxView> {
    await this.#called('discard', id);
    if (this.views.has(id)) throw new ApiError('NotWarm', `${id} was taken`);
    this.report.warm = (this.report.warm ?? []).filter((machine) => machine.id !== id);
    return { ...this.add(id), status: 'killed' };
  }

  async pause(id: string, { updateId, memory = true }: { updateId: string; memory?: boolean }): Promise<SandboxView> {
    await this.#called('pause', id, { memory }, updateId);
    const view = this.#require(id);
    if (view.status === 'paused') throw new ApiError('AlreadyPaused', `sandbox ${id} is already paused`);
    const kept = { generation: view.generation + 1, savedAt: Date.now() };
    const image = memory ? { ...kept, digest: 'd', bytes: 1 } : { ...kept, kind: 'disk' as const };
    return this.#set(view, { status: 'paused', pausedAt: Date.now(), image });
  }

  async resume(id: string, input: ResumeInput, { updateId }: { updateId: string }): Promise<ResumeResult> {
    await this.#called('resume', id, input, updateId);
    let view = this.#require(id);
    if (input.mode === 'traffic' && view.status === 'pausing') {
      while (this.#require(id).status === 'pausing') await new Promise((resolve) => setTimeout(resolve, 10));
      view = this.#require(id);
    }
    if (input.mode === 'traffic' && view.image?.kind === 'disk') {
      throw new ApiError('NotFound', `traffic does not boot sandbox ${id}`);
    }
    if (view.status === 'killing') throw new ApiError('BeingKilled', `sandbox ${id} is being killed`);
    const asked = input.timeoutMs ?? view.spec.timeoutMs;
    const until = Date.now() + (input.mode === 'traffic' ? Math.max(asked, view.spec.timeoutMs) : asked);
    if (view.status === 'paused') return { view: this.#set(view, { status: 'running', endAt: until }), resumed: true };
    if (input.mode === 'resume') throw new ApiError('AlreadyRunning', `sandbox ${id} is already running`);
    if (input.mode !== 'traffic') view.endAt = Math.max(view.endAt, until);
    return { view, resumed: false };
  }

  async kill(id: string, { updateId }: { updateId: string }): Promise<SandboxView> {
    await this.#called('kill', id, undefined, updateId);
    const view = this.#require(id);
    this.views.delete(id);
    return { ...view, status: 'killed' };
  }

  async rotateTokens(id: string, { tokenNonce }: RotateInput): Promise<SandboxView> {
    await this.#called('rotateTokens', id, { tokenNonce });
    const view = this.#require(id);
    return this.add(id, { ...view, spec: { ...view.spec, tokenNonce } });
  }

  async setTimeout(id: string, input: SetTimeoutInput): Promise<SandboxView> {
    await this.#called('setTimeout', id, input);
    const view = this.#require(id);
    const until = Date.now() + input.timeoutMs;
    view.endAt = input.mode === 'extend' ? Math.max(view.endAt, until) : until;
    return view;
  }

  isAnswered(): Promise<boolean> {
    return Promise.resolve(false);
  }

  get(id: string, input?: { onlyOpen?: boolean }): Promise<SandboxView | undefined> {
    this.calls.push({ verb: 'get', id, input });
    return Promise.resolve(this.views.get(id));
  }

  countOf(verb: string): number {
    return this.calls.filter((call) => call.verb === verb).length;
  }

  async #called(verb: string, id: string, input?: unknown, updateId?: string): Promise<void> {
    this.calls.push({ verb, id, input, ...(updateId === undefined ? {} : { updateId }) });
    while (this.waitsFor.get(verb)?.() === false) await new Promise((resolve) => setTimeout(resolve, 5));
    if (this.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.delayMs));
    const code = this.failNext.get(verb);
    this.failNext.delete(verb);
    if (code !== undefined) throw new ApiError(code, `${verb} of ${id} failed in a test`);
  }

  #require(id: string): SandboxView {
    const view = this.views.get(id);
    if (view === undefined) throw new ApiError('NotFound', `sandbox ${id} was not found`);
    return view;
  }

  #set(view: SandboxView, change: Partial<SandboxView>): SandboxView {
    const next = { ...view, ...change, generation: view.generation + 1 };
    this.views.set(view.spec.id, next);
    return next;
  }

  async #dial(port: number, signal: AbortSignal): Promise<Duplex> {
    this.dials += 1;
    const gaveUp = new Promise<never>((_resolve, reject) =>
      signal.addEventListener('abort', () => reject(signal.reason as Error)),
    );
    await Promise.race([this.dialling, gaveUp]);
    const real = this.guestPorts.get(port);
    return new Promise((resolve, reject) => {
      if (real === undefined) return reject(new Error(`port ${port} is closed`));
      const socket = connect(real, '127.0.0.1', () => resolve(socket));
      socket.once('error', reject);
    });
  }
}
