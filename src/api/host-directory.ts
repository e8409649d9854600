import { Agent, request } from 'undici';
import type { Logger } from 'pino';
import type { SandboxSpec, SandboxView } from '../../workflows/view.js';
import { isSandboxPage, mergePages, type SandboxPage, type SandboxQuery } from '../gateway/sandbox-query.js';
import {
  GATEWAY_TOKEN_HEADER,
  type HostReport,
  type LatestSamples,
  type LogEntry,
  type LogList,
  type MetricSample,
  type NewestList,
  type SampleList,
  type TemplateUses,
  type UnreadableSandbox,
} from '../gateway/wire.js';
import type { TokenOwner } from '../keys/access-token.js';
import { NO_USE, sumOfUses, type TenantUse } from '../tenants/use.js';
import { Seldom } from '../relay/seldom.js';
import { ApiError } from './errors.js';

export interface Host {
  hostId: string;
  url: string;
}

/** What was asked for the traffic to a sandbox when it was made; never changes. */
export type TrafficRules = Pick<SandboxSpec, 'autoResume' | 'allowPublicTraffic' | 'maskRequestHost'>;

export interface Located extends Host {
  tenant: string;
  traffic: TrafficRules;
  /** Its tokens' owner: changes when they are rotated. */
  owner: TokenOwner;
}

/** What the hosts that answered know together. */
export interface FromHosts<T> {
  found: T;
  /** Ids of the hosts that did not answer; their part is not in the result. */
  missing: string[];
  /** How many hosts did. */
  answered: number;
}

/** `unreadable`: a host has something of it that cannot be believed; its workflow has to be asked whose it is. */
export type FoundSandbox = FromHosts<SandboxView | undefined> & { unreadable?: true };

/** The indexes of all hosts as one. Nothing is kept between calls but where a sandbox is: an answer is never stale. */
export interface HostDirectory {
  list(query: SandboxQuery): Promise<FromHosts<SandboxPage>>;
  find(id: string): Promise<FoundSandbox>;
  reports(): Promise<FromHosts<HostReport[]>>;
  /** What its host keeps of a sandbox. Throws `Unavailable` when the host does not answer. */
  samples(id: string): Promise<MetricSample[]>;
  entries(id: string): Promise<LogEntry[]>;
  /** The newest sample of each that has one, from the hosts that answer. */
  latestSamples(ids: readonly string[]): Promise<FromHosts<Record<string, MetricSample>>>;
  /** How often a tenant's sandboxes use each template, by its key. */
  uses(tenant: string): Promise<FromHosts<TemplateUses['uses']>>;
  /**
   * What a tenant's sandboxes take up now. Of a host that does not answer, what it said last.
   * @param asleep of these what each counts for, too, if it sleeps
   */
  use(tenant: string, asleep?: readonly string[]): Promise<FromHosts<TenantUse>>;
  /**
   * The host of a sandbox; undefined when no host has it. Throws `Unavailable` when that cannot be told.
   * @param maxAgeMs the answer is not from before that; absent: a minute
   */
  locate(id: string, maxAgeMs?: number): Promise<Located | undefined>;
  /** What the tokens of so many sandboxes are derived from, newest first, up to two seconds old. */
  newest(most: number): Promise<FromHosts<TokenOwner[]>>;
  /** What is remembered of a sandbox is not true any more. */
  forget(id: string): void;
  close(): Promise<void>;
}

const ANSWER_WITHIN_MS = 2_000;
/** Behind these answers may be a look at guests, which a busy machine makes slow. */
const SAMPLES_WITHIN_MS = 5_000;
const REMEMBER_PLACE_MS = 60_000;
const REMEMBER_IDS_MS = 2_000;
const MOST_REMEMBERED = 50_000;

const ownerOf = ({ id, tokenNonce }: SandboxSpec): TokenOwner => ({ id, tokenNonce });

export function createHostDirectory(hosts: readonly Host[], gatewayToken: string, log: Logger): HostDirectory {
  const seldom = new Seldom(log);
  const connections = new Agent({ keepAliveTimeout: 10_000, connect: { timeout: ANSWER_WITHIN_MS } });
  /** A sandbox never moves: but for its tokens, this can only be out of date for one that is gone. */
  const places = new Map<string, { place: Located; askedAt: number }>();
  const lastUses = new Map<string, Map<string, TenantUse>>();
  let recent: { most: number; owners: Promise<FromHosts<TokenOwner[]>>; until: number } | undefined;

  /** @returns undefined for a 404. */
  async function ask<T>(host: Host, path: string, withinMs: number): Promise<T | undefined> {
    const { statusCode, body } = await request(new URL(path, host.url), {
      dispatcher: connections,
      headers: { [GATEWAY_TOKEN_HEADER]: gatewayToken },
      signal: AbortSignal.timeout(withinMs),
    });
    if (statusCode === 200) return (await body.json()) as T;
    await body.dump();
    if (statusCode === 404) return undefined;
    throw new Error(`the gateway of host ${host.hostId} answered ${statusCode} to ${path.split('?', 1)[0]}`);
  }

  async function askAll<T>(
    path: string,
    withinMs = ANSWER_WITHIN_MS,
    /** Of one that is there; absent: any, or a 404. */
    isAnswer?: (answer: T) => boolean,
  ): Promise<FromHosts<{ host: Host; answer: T }[]>> {
    const missing: string[] = [];
    const found: { host: Host; answer: T }[] = [];
    await Promise.all(
      hosts.map(async (host) => {
        try {
          const answer = await ask<T>(host, path, withinMs);
          if (isAnswer !== undefined && (answer === undefined || !isAnswer(answer)))
            throw new Error('its answer is that of another version');
          if (answer !== undefined) found.push({ host, answer });
        } catch (error) {
          missing.push(host.hostId);
          const { hostId, url } = host;
          seldom.warn(hostId, { host: hostId, url }, error, 'a host does not answer; its part is left out');
        }
      }),
    );
    return { found, missing, answered: hosts.length - missing.length };
  }

  function remember(host: Host, spec: SandboxSpec, askedAt: number): void {
    const { id, tenant, autoResume, allowPublicTraffic, maskRequestHost } = spec;
    if (places.size >= MOST_REMEMBERED) places.clear();
    const traffic = {
      autoResume,
      ...(allowPublicTraffic === undefined ? {} : { allowPublicTraffic }),
      ...(maskRequestHost === undefined ? {} : { maskRequestHost }),
    };
    places.set(id, { place: { ...host, tenant, traffic, owner: ownerOf(spec) }, askedAt });
  }

  async function find(id: string): Promise<FoundSandbox> {
    const askedAt = performance.now();
    const { found, ...who } = await askAll<SandboxView | UnreadableSandbox>(`/internal/sandboxes/${id}`);
    for (const { host, answer } of found) {
      if ('unreadable' in answer) continue;
      remember(host, answer.spec, askedAt);
      return { found: answer, ...who };
    }
    return { found: undefined, ...(found.length > 0 ? { unreadable: true as const } : {}), ...who };
  }

  /** A request to a sandbox must not wait for another one's host that does not answer. @returns undefined when it is not there */
  async function atKnownHost({ hostId, url }: Host, id: string): Promise<Located | undefined> {
    const askedAt = performance.now();
    const host = { hostId, url };
    const answer = await ask<SandboxView | UnreadableSandbox>(
      host,
      `/internal/sandboxes/${id}`,
      ANSWER_WITHIN_MS,
    ).catch(() => undefined);
    if (answer === undefined || 'unreadable' in answer) return undefined;
    remember(host, answer.spec, askedAt);
    return places.get(id)?.place;
  }

  async function list(query: SandboxQuery): Promise<FromHosts<SandboxPage>> {
    const text = encodeURIComponent(JSON.stringify(query));
    const { found, ...who } = await askAll(`/internal/sandboxes?query=${text}`, ANSWER_WITHIN_MS, isSandboxPage);
    const pages = found.map(({ answer }) => answer);
    return { found: mergePages(pages, query), ...who };
  }

  async function ofHost<T>(id: string, what: string): Promise<T | undefined> {
    const { found, missing } = await askAll<T>(`/internal/sandboxes/${id}/${what}`, SAMPLES_WITHIN_MS);
    if (found[0] === undefined && missing.length > 0) {
      throw new ApiError('Unavailable', `these hosts do not answer: ${missing.join(', ')}`);
    }
    return found[0]?.answer;
  }

  async function newest(most: number): Promise<FromHosts<TokenOwner[]>> {
    const { found, ...who } = await askAll<NewestList>(
      `/internal/newest?most=${most}`,
      ANSWER_WITHIN_MS,
      ({ newest }) => Array.isArray(newest),
    );
    const rows = found.flatMap(({ answer }) => answer.newest).sort((a, b) => b.startedAt - a.startedAt);
    return { found: rows.slice(0, most).map(({ id, tokenNonce }) => ({ id, tokenNonce })), ...who };
  }

  async function uses(tenant: string): Promise<FromHosts<TemplateUses['uses']>> {
    const path = `/internal/uses?tenant=${encodeURIComponent(tenant)}`;
    const isAnswer = (answer: TemplateUses): boolean => typeof answer.uses === 'object';
    const { found, ...who } = await askAll(path, ANSWER_WITHIN_MS, isAnswer);
    const sum: TemplateUses['uses'] = {};
    for (const [key, { count, lastAt }] of found.flatMap(({ answer }) => Object.entries(answer.uses))) {
      const known = sum[key] ?? { count: 0, lastAt: 0 };
      sum[key] = { count: known.count + count, lastAt: Math.max(known.lastAt, lastAt) };
    }
    return { found: sum, ...who };
  }

  async function use(tenant: string, asleep: readonly string[] = []): Promise<FromHosts<TenantUse>> {
    const named = asleep.length === 0 ? '' : `&asleep=${asleep.join(',')}`;
    const path = `/internal/use?tenant=${encodeURIComponent(tenant)}${named}`;
    const isAnswer = (answer: TenantUse): boolean => Array.isArray(answer.awake);
    const { found, missing, answered } = await askAll(path, ANSWER_WITHIN_MS, isAnswer);
    const last = lastUses.get(tenant);
    const now = new Map(found.map(({ host, answer }) => [host.hostId, answer]));
    for (const hostId of missing) now.set(hostId, last?.get(hostId) ?? NO_USE);
    if (lastUses.size >= MOST_REMEMBERED) lastUses.clear();
    lastUses.set(tenant, now);
    return { found: sumOfUses([...now.values()]), missing, answered };
  }

  return {
    list,
    find,
    use,
    uses,
    async reports() {
      const { found, ...who } = await askAll<HostReport>('/internal/host');
      return { found: found.map(({ answer }) => answer), ...who };
    },
    samples: async (id) => (await ofHost<SampleList>(id, 'metrics'))?.samples ?? [],
    entries: async (id) => (await ofHost<LogList>(id, 'log'))?.entries ?? [],
    async latestSamples(ids) {
      const { found, ...who } = await askAll<LatestSamples>(
        `/internal/metrics?ids=${ids.join(',')}`,
        SAMPLES_WITHIN_MS,
      );
      return {
        found: Object.assign({}, ...found.map(({ answer }) => answer.samples)) as Record<string, MetricSample>,
        ...who,
      };
    },
    async locate(id, maxAgeMs = REMEMBER_PLACE_MS) {
      const known = places.get(id);
      if (known !== undefined && performance.now() - known.askedAt < maxAgeMs) return known.place;
      const again = known === undefined ? undefined : await atKnownHost(known.place, id);
      if (again !== undefined) return again;
      const { found, missing } = await find(id);
      if (found !== undefined) return places.get(id)?.place;
      if (missing.length > 0) throw new ApiError('Unavailable', `these hosts do not answer: ${missing.join(', ')}`);
      return undefined;
    },
    newest(most) {
      if (recent?.most !== most || recent.until < performance.now()) {
        recent = { most, owners: newest(most), until: performance.now() + REMEMBER_IDS_MS };
      }
      return recent.owners;
    },
    forget(id) {
      places.delete(id);
      recent = undefined;
    },
    close: () => connections.close(),
  };
}
