import { once } from 'node:events';
import { createHostActivities } from '../../activities/host.js';
import type { HostContext } from '../../activities/host-context.js';
import { DOMAIN_PREFIX } from '../../activities/machine.js';
import { readConfig } from '../config.js';
import { Activity } from '../gateway/activity.js';
import { createGateway } from '../gateway/gateway.js';
import { gatewayToken } from '../gateway/gateway-token.js';
import { AGENT_PORT } from '../gateway/wire.js';
import { dialTunnel } from '../guest/client.js';
import { openGuard } from '../guard/guard.js';
import { measureRoom } from '../host/admission.js';
import { lockStateDirectory } from '../host/host-lock.js';
import { watchMachines } from '../host/machine-watch.js';
import { OverlayPool } from '../host/overlay-pool.js';
import { SandboxIndex } from '../host/sandbox-index.js';
import { SandboxLocks } from '../host/sandbox-locks.js';
import { SlotClaims } from '../host/slot-claims.js';
import { slotAddress } from '../host/slots.js';
import { StatePaths } from '../host/state-paths.js';
import { accessToken } from '../keys/access-token.js';
import { fileMasterKey } from '../keys/master-key.js';
import { LibvirtDriver } from '../libvirt/libvirt.js';
import { createEncryptedOverlay } from '../libvirt/overlay.js';
import { createLogger } from '../log.js';
import { hostGuardRules } from '../setup/guard-rules.js';
import { openPasstDirectory } from '../setup/passt-directory.js';
import { qemuIds } from '../setup/qemu-user.js';
import { lazyConnection, workerConnection } from '../temporal/connection.js';
import { TemporalSandboxClient } from '../temporal/sandbox-client.js';
import { startTracing } from '../tracing/start-tracing.js';
import { createHostWorker } from '../temporal/worker.js';
import { listTemplates, readTemplate } from '../template/template.js';

/** Of the machine, not of a state directory: no two host workers may give out the same unix user. */
const SLOTS_DIRECTORY = '/run/dormouse/slots';

/** Host worker: activities on this host's machines, and the gateway to them. One per state directory. */
async function main(): Promise<void> {
  const config = readConfig(process.env);
  const log = createLogger('host-worker', config.logLevel);
  const stopTracing = startTracing('host', config.tracing);
  const unlock = await lockStateDirectory(config.stateDir);
  const masterKey = await fileMasterKey(config.masterKeyFile);
  const { gid } = await qemuIds();
  const driver = new LibvirtDriver(config.libvirtUri);
  const guard = openGuard(await hostGuardRules(config));
  await guard.check();
  await openPasstDirectory(gid);
  const index = await SandboxIndex.load(new StatePaths(config.stateDir), log);
  const traffic = new Activity();
  const pool = new OverlayPool({
    directory: index.paths.overlayPool,
    size: config.overlayPool,
    wrapper: masterKey.wrapper,
    makeOverlay: createEncryptedOverlay,
    log,
  });
  await pool.sweep();
  const locks = new SandboxLocks();
  // The last two are those of template builds and of the bench's plain guest.
  const slots = new SlotClaims({ directory: SLOTS_DIRECTORY, stateDir: config.stateDir, count: config.uidCount - 2 });
  await slots.sweep(new Set(index.all().flatMap(({ slot }) => slot ?? [])));
  const reserved = { memoryMiB: config.reservedMemoryMiB, diskMiB: config.reservedDiskMiB };
  const context: HostContext = {
    ...{ libvirtUri: config.libvirtUri, uidBase: config.uidBase, gid, reserved },
    ...{ driver, index, locks, slots, pool, masterKey, traffic, guard, log },
    template: (key) => readTemplate(config.templateDir, key),
  };
  const templates = await listTemplates(config.templateDir);
  if (templates[0] !== undefined) pool.fill(templates[0].key, templates[0].disk);

  const tokensKey = masterKey.derive('tokens');
  const gateway = createGateway({
    token: gatewayToken(masterKey),
    index: { list: (tenant) => index.views(tenant), get: (id) => index.get(id)?.view },
    report: async () => ({
      hostId: config.hostId,
      templates: (await listTemplates(config.templateDir)).map(({ key, ...template }) => ({
        ...template,
        templateKey: key,
      })),
      free: await measureRoom(index, reserved),
    }),
    route: (id) => {
      const manifest = index.get(id);
      if (manifest === undefined || manifest.slot === null) return undefined;
      if (!['running', 'saving'].includes(manifest.phase.name)) return undefined;
      const open = manifest.phase.name === 'running' && traffic.isGateOpen(id);
      return {
        address: { host: slotAddress(manifest.slot), port: AGENT_PORT },
        token: accessToken(tokensKey, id),
        open,
      };
    },
    dial: dialTunnel,
    activity: traffic,
    connectionLimit: config.connectionLimit,
    log,
  });
  gateway.listen(config.gatewayPort, '127.0.0.1');
  await once(gateway, 'listening');

  const connection = await workerConnection(config.temporal);
  const client = await lazyConnection(config.temporal);
  const workflows = new TemporalSandboxClient(client, config.temporal.namespace);
  const unwatch = watchMachines({
    ...{ driver, index, locks, log, domainPrefix: DOMAIN_PREFIX },
    report: (id, generation, reason) => workflows.machineEnded(id, generation, reason),
  });
  const worker = await createHostWorker(
    connection,
    config.temporal.namespace,
    config.hostId,
    createHostActivities(context),
  );
  log.info({ host: config.hostId, sandboxes: index.all().length }, 'host worker is running');
  await worker.run();

  unwatch();
  gateway.close();
  gateway.closeAllConnections();
  await Promise.allSettled([pool.close(), client.close(), connection.close(), driver.close(), stopTracing()]);
  await unlock();
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`host-worker: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(1);
  },
);
