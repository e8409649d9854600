import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { noCrashes } from '../../../activities/crash-switch.js';
import { createHostActivities } from '../../../activities/host.js';
import { InFlight } from '../../../activities/in-flight.js';
import type { HostContext } from '../../../activities/host-context.js';
import { derivedUuid, DOMAIN_PREFIX } from '../../../activities/machine.js';
import { Reaper } from '../../../activities/reap.js';
import { randomSandboxId } from '../../api/sandbox-id.js';
import type { StepKind } from '../../../workflows/step-queues.js';
import { Activity } from '../../gateway/activity.js';
import { createGateway } from '../../gateway/gateway.js';
import { gatewayToken } from '../../gateway/gateway-token.js';
import { AGENT_PORT } from '../../gateway/wire.js';
import { dialTunnel } from '../../guest/client.js';
import { measureRoom, missingRoom, neededRoom, type Reserve } from '../../host/admission.js';
import { DiskHold, HELD, LOOK_AT_DISK_EVERY_MS } from '../../host/disk-hold.js';
import { every } from '../../host/every.js';
import { watchMachines } from '../../host/machine-watch.js';
import { DiscardedMemory } from '../../host/discarded-memory.js';
import { agentTokenOwner } from '../../host/manifest.js';
import { MemoryPool } from '../../host/memory-pool.js';
import { OverlayPool } from '../../host/overlay-pool.js';
import { SandboxIndex } from '../../host/sandbox-index.js';
import { SandboxLocks } from '../../host/sandbox-locks.js';
import { slotAddress } from '../../host/slots.js';
import { StatePaths } from '../../host/state-paths.js';
import { TenantUses } from '../../host/tenant-uses.js';
import { WarmPool } from '../../host/warm-pool.js';
import { observe } from '../../invariants/observe.js';
import { Journal } from '../../journal/journal.js';
import { accessToken } from '../../keys/access-token.js';
import { fileMasterKey } from '../../keys/master-key.js';
import { createLogger } from '../../log.js';
import { copySparse } from '../../sealing/sparse-copy.js';
import type { Template } from '../../template/template.js';
import { lazyConnection, workerConnection, type TemporalSettings } from '../../temporal/connection.js';
import { SandboxRuns } from '../../temporal/sandbox-runs.js';
import { TemporalSandboxClient } from '../../temporal/sandbox-client.js';
import { createHostWorker } from '../../temporal/worker.js';
import type { FakeMachines } from './fake-machines.js';
import { FAR_SLOTS, FarSlots } from './far-slots.js';
import { tinyTemplate } from './tiny-template.js';

const TEND_EVERY_MS = 100;

/** Parts of the configuration, which fits. */
export interface MachinelessSettings {
  stateDir: string;
  masterKeyFile: string;
  libvirtUri: string;
  uidBase: number;
  hostId: string;
  gatewayPort: number;
  /** Warm machines that are kept; absent: none. */
  warmPool?: number;
  temporal: TemporalSettings;
  /** Steps of each kind that run at once; absent: as many as ever. */
  slots?: Partial<Record<StepKind, number>>;
  /** Of all tenants, by kind; absent: as many as ever. */
  stepsAtOnce?: { machine?: number; guest?: number };
  /** Absent: nothing reaps. */
  reaping?: { everyMs: number; ageMs: number };
}

/**
 * The host worker with machines of a fake driver: gateway, activities, index, sealing, slots and reaper are the real
 * ones. libvirt's secrets go to whatever `virsh` this process finds: see `idle-virsh.ts`.
 *
 * @param reserved memory and disk that it never gives away
 * @returns ends it; its machines run on.
 */
export async function startMachinelessHost(
  config: MachinelessSettings,
  driver: FakeMachines,
  reserved: Reserve = { memoryMiB: 0, diskMiB: 0 },
): Promise<() => Promise<void>> {
  const log = createLogger('machineless-host', 'error');
  const paths = new StatePaths(config.stateDir);
  for (const directory of [paths.sandboxes, paths.memory]) await mkdir(directory, { recursive: true });
  const masterKey = await fileMasterKey(config.masterKeyFile);
  const manifestsKey = masterKey.derive('manifests');
  const index = await SandboxIndex.load(paths, manifestsKey, log);
  const traffic = new Activity();
  const locks = new SandboxLocks();
  const template = await tinyTemplate(path.join(config.stateDir, 'template'));
  const pool = new OverlayPool({
    ...{ directory: paths.overlayPool, size: 0, wrapper: masterKey.wrapper, log },
    isIdle: () => true,
    makeOverlay: (file) => writeFile(file, ''),
  });
  await pool.sweep();
  const memories = new MemoryPool<Template>({
    ...{ directory: paths.memoryPool, size: 1, log },
    isIdle: () => !locks.anyHeldFor(10_000),
    hasRoom: () => Promise.resolve(true),
    copy: ({ memory, memoryExtents }, file, signal) => copySparse(memory, file, memoryExtents, { signal }),
  });
  await memories.open(template);
  const discarded = new DiscardedMemory(paths.discarded, log);
  await discarded.sweep();
  const journal = new Journal(paths);
  const inFlight = new InFlight(path.join(config.stateDir, 'in-flight'), config.stateDir);
  const slotsDirectory = path.join(config.stateDir, 'slots');
  const slots = new FarSlots({ directory: slotsDirectory, stateDir: config.stateDir, count: FAR_SLOTS });
  await slots.sweep(new Set());
  const client = await lazyConnection(config.temporal);
  const workflows = new TemporalSandboxClient(client, config.temporal.namespace);
  const warmPool = new WarmPool({
    ...{ size: config.warmPool ?? 0, hostId: config.hostId, index, newId: randomSandboxId, log },
    newest: () => Promise.resolve(template),
    fits: async (size) => missingRoom(await measureRoom(index, reserved), neededRoom(size, reserved)) === undefined,
    isFree: (id) => !locks.isHeld(id) && traffic.isGateOpen(id),
    isUnderWay: (id) => locks.isHeldFor(id, 10_000),
    start: (spec) => workflows.create(spec),
    discard: (id, why) => workflows.discard(id, why),
  });
  const context: HostContext = {
    ...{ libvirtUri: config.libvirtUri, uidBase: config.uidBase, gid: 0, reserved },
    ...{ driver, index, locks, slots, pool, memories, discarded, masterKey, traffic, journal, log },
    life: {
      ...{ answersWithinMs: 20_000, heard: () => undefined, boots: () => undefined },
      ...{ crashed: () => undefined, howItEnded: () => undefined },
    },
    onCrash: 'end',
    makeRoom: () => warmPool.makeRoom(),
    reached: noCrashes,
    guard: { setInternet: async () => {}, forget: async () => {} },
    template: (key) => Promise.resolve(key === template.key ? template : undefined),
  };
  const tokensKey = masterKey.derive('tokens');
  const { names, cpuCount, memoryMiB, diskMiB, envdVersion, createdAt } = template;
  const tenantUses = new TenantUses(index);
  const gateway = createGateway({
    token: gatewayToken(masterKey),
    index: { list: () => index.views(), get: (id) => index.view(id), isUnreadable: (id) => index.isUnreadable(id) },
    use: (tenant, named) => tenantUses.of(tenant, named),
    report: () =>
      Promise.resolve({
        hostId: config.hostId,
        templates: [{ templateKey: template.key, names, cpuCount, memoryMiB, diskMiB, envdVersion, createdAt }],
        free: { memoryMiB: 4096, diskMiB: 4096 },
        warm: warmPool.candidates(),
      }),
    route: (id) => {
      const manifest = index.get(id);
      if (manifest?.phase.name !== 'running' || manifest.slot === null || manifest.view.spec.warm === true)
        return undefined;
      const address = { host: slotAddress(manifest.slot), port: AGENT_PORT };
      return { address, token: accessToken(tokensKey, agentTokenOwner(manifest)), open: traffic.isGateOpen(id) };
    },
    journal: {
      samples: (id) => journal.samples(id),
      latest: (id) => Promise.resolve(journal.latest(id)),
      entries: (id) => journal.entries(id),
    },
    ...{ dial: dialTunnel, activity: traffic, connectionLimit: 10_000, log },
  });
  gateway.listen(config.gatewayPort, '127.0.0.1');
  await once(gateway, 'listening');

  const connection = await workerConnection(config.temporal);
  const diskHold = new DiskHold({
    ...{ driver, index, limits: reserved, domainPrefix: DOMAIN_PREFIX, log },
    onHeld: ({ id, generation }) => journal.addEvent(id, generation, 'held', HELD),
  });
  const stopHolding = every(
    LOOK_AT_DISK_EVERY_MS,
    () => diskHold.look(),
    (error) => log.error({ err: error }, 'the room on the disk could not be looked at'),
  );
  const unwatch = watchMachines({
    ...{ driver, index, locks, log, domainPrefix: DOMAIN_PREFIX },
    isHeld: (id) => diskHold.isHeld(id),
    howItEnded: () => undefined,
    report: (id, generation, reason) => workflows.machineEnded(id, generation, reason),
  });
  const { namespace } = config.temporal;
  const activities = createHostActivities(context, inFlight, config.stepsAtOnce);
  const worker = await createHostWorker(connection, namespace, config.hostId, activities, config.slots);
  const running = worker.run();
  const runs = new SandboxRuns(client, namespace);
  const scope = { stateDir: config.stateDir, libvirtUri: config.libvirtUri, uidBase: config.uidBase, slotsDirectory };
  const reaper = new Reaper(context, config.reaping?.ageMs ?? 0, () =>
    observe({
      ...{ ...scope, manifestsKey, domainPrefix: DOMAIN_PREFIX, digests: false },
      secretUuid: (id) => derivedUuid(id, 'secret'),
      workflows: (ids) => runs.find(ids),
    }),
  );
  const stopReaping =
    config.reaping === undefined
      ? () => undefined
      : every(
          config.reaping.everyMs,
          async () => void (await reaper.sweep()),
          (error) => log.error({ err: error }, 'the reaper could not look'),
        );
  const stopTending = every(
    TEND_EVERY_MS,
    () => warmPool.tend(),
    () => undefined,
  );
  return async () => {
    stopTending();
    stopHolding();
    stopReaping();
    worker.shutdown();
    await running;
    unwatch();
    gateway.close();
    gateway.closeAllConnections();
    await Promise.allSettled([pool.close(), memories.close(), client.close(), connection.close()]);
  };
}
