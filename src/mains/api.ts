import type { Server } from 'node:http';
import { Server as TlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { ApiKeys } from '../api/api-keys.js';
import { createApiServer } from '../api/api-server.js';
import { createApp } from '../api/app.js';
import { AskedFor } from '../api/create-from-pool.js';
import { createHostDirectory } from '../api/host-directory.js';
import { Join } from '../api/join.js';
import { UpdateIds } from '../api/update-ids.js';
import { createWake } from '../api/wake.js';
import { readConfig } from '../config.js';
import { gatewayToken } from '../gateway/gateway-token.js';
import { fileMasterKey } from '../keys/master-key.js';
import { OperatorKey } from '../keys/operator-key.js';
import { forbidCoreDumps } from '../host/core-dumps.js';
import { createLogger } from '../log.js';
import { Admission } from '../tenants/admission.js';
import { TenantConnections } from '../tenants/connections.js';
import { TenantRates } from '../tenants/rates.js';
import type { Limits } from '../tenants/limits.js';
import { FileTenantStore } from '../tenants/tenant-store.js';
import { createProxy } from '../proxy/proxy.js';
import { SearchLimits } from '../proxy/search-limits.js';
import { streamServer } from '../relay/stream-server.js';
import { followCertificate, readCertificate } from '../tls/certificate-files.js';
import { startTracing } from '../tracing/start-tracing.js';
import { lazyConnection } from '../temporal/connection.js';
import { TemporalSandboxClient } from '../temporal/sandbox-client.js';

/** What is still being answered at the end gets this long. */
const DRAIN_MS = 5_000;
/** A request to a sleeping sandbox waits this long for it; the clients' own limit is 60 s. */
const HOLD_MS = 50_000;

/** The api: control plane and data plane, each on a port of its own. Starts and answers without Temporal, too. */
async function main(): Promise<void> {
  const config = readConfig(process.env);
  const log = createLogger('api', config.logLevel);
  const stopTracing = startTracing('api', config.tracing);
  await forbidCoreDumps();
  const masterKey = await fileMasterKey(config.masterKeyFile);
  const connection = await lazyConnection(config.temporal);
  const token = gatewayToken(masterKey);
  const tokensKey = masterKey.derive('tokens');
  const directory = createHostDirectory(config.hosts, token, log);
  const tenants = await FileTenantStore.open(config.tenantsFile, config.tenantLimits, (error) =>
    log.error({ err: error }, 'limits of tenants cannot be read; those that were read before go on counting'),
  );
  const limitsOf = (tenant: string): Limits => tenants.limitsOf(tenant);
  const connections = new TenantConnections((tenant) => limitsOf(tenant).connections);
  const admission = new Admission(limitsOf, async (tenant, asleep) => (await directory.use(tenant, asleep)).found);
  const client = new TemporalSandboxClient(connection, config.temporal.namespace);
  const lifecycle = {
    client,
    ...{ directory, join: new Join(), updateIds: new UpdateIds(client), admission, maxTimeoutMs: config.maxTimeoutMs },
  };
  const keys = new ApiKeys(config.apiKeysFile);
  const deps = {
    ...lifecycle,
    askedFor: new AskedFor(),
    rates: new TenantRates(limitsOf),
    connections,
    keys,
    tokensKey,
    fieldsKey: masterKey.derive('fields'),
    domain: config.publicDomain,
    pausedRetentionMs: config.pausedRetentionMs,
    log,
  };
  const operatorKey = await OperatorKey.ensure(config.operatorKeyFile);
  const operator = { operatorKey, keys, tenants, directory, admission, connections, log };
  const secure = config.tls === undefined ? undefined : await readCertificate(config.tls);
  const api = createApiServer(createApp(deps, operator), secure);
  const wake = createWake(lifecycle);
  const proxy = createProxy(
    {
      ...{ locator: directory, wake, holdMs: HOLD_MS, connectionLimit: config.connectionLimit, connections },
      ...{ searchLimits: new SearchLimits(), gatewayToken: token, tokensKey, log },
      control: { host: `api.${config.domain.toLowerCase()}`, serve: createApp(deps) },
    },
    streamServer(secure),
  );
  const secured = [api, proxy].filter((server) => server instanceof TlsServer);
  if (config.tls !== undefined) followCertificate(config.tls, secured, log);
  await listen(api, config.listen, config.apiPort, 'DORMOUSE_API_PORT');
  await listen(proxy, config.listen, config.proxyPort, 'DORMOUSE_PROXY_PORT');
  log.info({ api: api.address(), proxy: proxy.address(), hosts: config.hosts }, 'the api listens');

  const stop = (signal: string): void => {
    log.info({ signal }, 'the api stops');
    void Promise.all([close(api), close(proxy)])
      .then(() => Promise.all([directory.close(), connection.close(), stopTracing()]))
      .finally(() => process.exit(0));
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
}

function listen(server: Server | TlsServer, host: string, port: number, variable: string): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const hint = error.code === 'EADDRINUSE' ? `; end what listens there, or set ${variable} to another port` : '';
      reject(new Error(`cannot listen on ${host}:${port}: ${error.message}${hint}`));
    });
    server.listen(port, host, () => resolve(server.address() as AddressInfo));
  });
}

async function close(server: Server | TlsServer): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  // Upgraded connections are no longer the server's to close: the process's end takes them.
  const drained = new Promise<void>((resolve) => setTimeout(resolve, DRAIN_MS).unref());
  await Promise.race([closed, drained]);
  server.closeAllConnections();
}

main().catch((error: unknown) => {
  process.stderr.write(`dormouse api: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
