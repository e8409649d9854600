import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { crashSwitch, noCrashes } from '../../activities/crash-switch.js';
import { Crashes } from '../../activities/after-crash.js';
import { Reboots } from '../../activities/after-reboot.js';
import { createHostActivities } from '../../activities/host.js';
import { InFlight } from '../../activities/in-flight.js';
import type { HostContext } from '../../activities/host-context.js';
import { derivedUuid, DOMAIN_PREFIX } from '../../activities/machine.js';
import { Reaper } from '../../activities/reap.js';
import { sealAhead } from '../../activities/seal-ahead.js';
import { watchGuests } from '../../activities/watch-guests.js';
import { takeBackDisks } from '../../activities/workspace.js';
import { randomSandboxId } from '../api/sandbox-id.js';
import { HOST_THREADS, readConfig } from '../config.js';
import { Activity } from '../gateway/activity.js';
import { createGateway } from '../gateway/gateway.js';
import { gatewayToken } from '../gateway/gateway-token.js';
import { AGENT_PORT } from '../gateway/wire.js';
import { dialTunnel } from '../guest/client.js';
import { followChanges } from '../guard/follow-changes.js';
import { openGuard } from '../guard/guard.js';
import { Passts } from '../guard/passts.js';
import { openWall } from '../guard/wall.js';
import { GuardWatch } from '../guard/watch.js';
import { measureRoom, missingRoom, neededRoom, roomToOffer } from '../host/admission.js';
import { forbidCoreDumps } from '../host/core-dumps.js';
import { DiskHold, HELD, LOOK_AT_DISK_EVERY_MS } from '../host/disk-hold.js';
import { lockStateDirectory } from '../host/host-lock.js';
import { watchMachines } from '../host/machine-watch.js';
import { DiscardedMemory } from '../host/discarded-memory.js';
import { MemoryPool } from '../host/memory-pool.js';
import { OverlayPool } from '../host/overlay-pool.js';
import { agentTokenOwner } from '../host/manifest.js';
import { SandboxIndex } from '../host/sandbox-index.js';
import { SandboxLocks } from '../host/sandbox-locks.js';
import { readClaims, SLOTS_DIRECTORY, SlotClaims } from '../host/slot-claims.js';
import { signEarlierManifests, signingRecords } from '../host/sign-manifests.js';
import { unixSlotUsers } from '../host/slot-users.js';
import { slotAddress, slotUid } from '../host/slots.js';
import { StatePaths } from '../host/state-paths.js';
import { LOOK_AT_SHARES_EVERY_MS, TenantShares } from '../host/tenant-shares.js';
import { TenantUses } from '../host/tenant-uses.js';
import { WarmPool } from '../host/warm-pool.js';
import { observe } from '../invariants/observe.js';
import { GuestWatch } from '../journal/guest-watch.js';
import { Journal } from '../journal/journal.js';
import { accessToken } from '../keys/access-token.js';
import { fileMasterKey } from '../keys/master-key.js';
import { followDomainEvents } from '../libvirt/domain-events.js';
import { LibvirtDriver } from '../libvirt/libvirt.js';
import { createEncryptedOverlay } from '../libvirt/overlay.js';
import { PASST_DIRECTORY } from '../libvirt/passt-files.js';
import { createLogger } from '../log.js';
import { every } from '../host/every.js';
import { GUARD_TABLE, hostGuardRules } from '../setup/guard-rules.js';
import { requireKnownTemporal } from '../setup/known-temporal.js';
import { openPasstDirectory } from '../setup/passt-directory.js';
import { qemuIds } from '../setup/qemu-user.js';
import { lazyConnection, workerConnection } from '../temporal/connection.js';
import { SandboxRuns } from '../temporal/sandbox-runs.js';
import { StepClient } from '../temporal/step-client.js';
import { TemporalSandboxClient } from '../temporal/sandbox-client.js';
import { copySparse } from '../sealing/sparse-copy.js';
import { startTracing } from '../tracing/start-tracing.js';
import { createHostWorker } from '../temporal/worker.js';
import { sweepDrafts } from '../template/sweep-drafts.js';
import { listTemplates, readTemplate, type Template } from '../template/template.js';

/** Lost with the machine's memory, as the steps are. */
const IN_FLIGHT_DIRECTORY = '/run/dormouse/in-flight';

/** For an agent's answer: who asked for the pause has an answer within its 55 s all the same. */
const PAUSE_WAITS_MS = 20_000;

/** A create, a pause or a wake takes seconds. What takes longer waits for its guest, and leaves this host idle. */
const LONGEST_STEP_MS = 10_000;

/** The warm pool is looked at so often: so long a machine that was taken is not replaced. */
const TEND_EVERY_MS = 1_000;

/** `nft monitor` says most at once; so often it is looked whether it missed something. */
const GUARD_EVERY_MS = 3_000;

/** Host worker: activities on this host's machines, and the gateway to them. One per state directory. */
async function main(): Promise<void> {
  const config = readConfig(process.env);
  if (config.threads < HOST_THREADS) {
    throw new Error(`too few threads for calls of libvirt: start it with UV_THREADPOOL_SIZE=${HOST_THREADS}`);
  }
  const log = createLogger('host-worker', config.logLevel);
  const stopTracing = startTracing('host', config.tracing);
  const unlock = await lockStateDirectory(config.stateDir);
  await forbidCoreDumps();
  const masterKey = await fileMasterKey(config.masterKeyFile);
  const { gid } = await qemuIds();
  const driver = new LibvirtDriver(config.libvirtUri);
  const paths = new StatePaths(config.stateDir);
  const manifestsKey = masterKey.derive('manifests');
  await signEarlierManifests(paths, {
    ...{ manifestsKey, log },
    records: signingRecords(config.stateDir, config.masterKeyFile),
  });
  const index = await SandboxIndex.load(paths, manifestsKey, log);
  const wanted = await hostGuardRules(config);
  const guard = openGuard({
    wanted,
    noInternet: index
      .all()
      .flatMap(({ slot, allowInternetAccess }) =>
        slot === null || allowInternetAccess ? [] : slotUid(config.uidBase, slot),
      )
      // What cannot be believed may have been denied it.
      .concat(
        (await readClaims(SLOTS_DIRECTORY))
          .filter(({ stateDir, sandbox }) => stateDir === config.stateDir && index.isUnreadable(sandbox))
          .map(({ slot }) => slotUid(config.uidBase, slot)),
      ),
  });
  const wall = openWall({ wanted });
  await guard.ensure();
  await wall.ensure();
  const guards = new GuardWatch({ guard, wall, guests: new Passts((await wanted()).uids), log });
  const unfollowGuard = followChanges(GUARD_TABLE, () => void guards.look());
  const stopGuarding = every(
    GUARD_EVERY_MS,
    async () => {
      await guards.look();
      await guards.lookAtWall();
    },
    (error) => log.error({ err: error }, 'the network guard could not be looked at'),
  );
  await openPasstDirectory(gid, log);
  const traffic = new Activity();
  const locks = new SandboxLocks();
  const isIdle = (): boolean => !locks.anyHeldFor(LONGEST_STEP_MS);
  const pool = new OverlayPool({
    directory: index.paths.overlayPool,
    size: config.overlayPool,
    wrapper: masterKey.wrapper,
    isIdle,
    makeOverlay: createEncryptedOverlay,
    log,
  });
  await pool.sweep();
  // The last two are those of template builds and of the bench's plain guest.
  const count = config.uidCount - 2;
  const slots = new SlotClaims({
    ...{ directory: SLOTS_DIRECTORY, stateDir: config.stateDir, count },
    users: unixSlotUsers({ uidBase: config.uidBase, gid, count, leftIn: [PASST_DIRECTORY] }),
  });
  await slots.sweep(new Set(index.all().flatMap(({ slot }) => slot ?? [])), (id) => index.isUnreadable(id));
  await takeBackDisks(index);
  const reserved = {
    ...{ memoryMiB: config.reservedMemoryMiB, diskMiB: config.reservedDiskMiB },
    diskOvercommit: config.diskOvercommit,
  };
  const discarded = new DiscardedMemory(index.paths.discarded, log);
  await discarded.sweep();
  const memories = new MemoryPool<Template>({
    directory: index.paths.memoryPool,
    size: config.memoryPool,
    isIdle,
    // Never the room of the next machine.
    hasRoom: async (mib) => (await measureRoom(index, reserved, undefined, discarded.heldMiB)).memoryMiB > 3 * mib,
    copy: ({ memory, memoryExtents }, file, signal) => copySparse(memory, file, memoryExtents, { signal }),
    log,
  });
  const journal = new Journal(index.paths);
  const client = await lazyConnection(config.temporal);
  const workflows = new TemporalSandboxClient(client, config.temporal.namespace);
  const warmPool = new WarmPool({
    ...{ size: config.warmPool, hostId: config.hostId, index, newId: randomSandboxId, log },
    newest: async () => (await listTemplates(config.templateDir))[0],
    fits: async (size) => missingRoom(await measureRoom(index, reserved), neededRoom(size, reserved)) === undefined,
    isFree: (id) => !locks.isHeld(id) && traffic.isGateOpen(id),
    isUnderWay: (id) => locks.isHeldFor(id, LONGEST_STEP_MS),
    start: (spec) => workflows.create(spec),
    discard: (id, why) => workflows.discard(id, why),
  });
  const endings = new Map<string, string>();
  const life = watchGuests(
    { driver, index, locks, log, isGateOpen: (id) => traffic.isGateOpen(id), areCutOff: () => guards.isStopped },
    config.unresponsiveAfterMs,
    (id, why) => crashes.notice(id, why),
  );
  const context: HostContext = {
    ...{ onCrash: config.onCrash, libvirtUri: config.libvirtUri, uidBase: config.uidBase, gid, reserved },
    diskRate: config.diskRate,
    ...{ driver, index, locks, slots, pool, memories, discarded, masterKey, traffic, guard, journal, log },
    life: {
      answersWithinMs: PAUSE_WAITS_MS,
      heard: (id) => life.heard(id),
      boots: (id) => life.boots(id),
      crashed: (id) => life.crashed(id),
      howItEnded: (id) => endings.get(id),
    },
    makeRoom: () => warmPool.makeRoom(),
    template: (key) => readTemplate(config.templateDir, key),
    reached: config.crashPointsFile === undefined ? noCrashes : crashSwitch(config.crashPointsFile),
  };
  const templates = await listTemplates(config.templateDir);
  if (templates[0] !== undefined) pool.fill(templates[0].key, templates[0].disk);
  await memories.open(templates[0]);

  const reboots = new Reboots(context);
  const crashes = new Crashes(context, reboots, (id, generation, why) => workflows.machineEnded(id, generation, why));
  const unfollow = followDomainEvents(
    config.libvirtUri,
    ({ domain, event, detail }) => {
      const id = domain.startsWith(DOMAIN_PREFIX) ? domain.slice(DOMAIN_PREFIX.length) : '';
      if (index.get(id)?.phase.name !== 'running') return;
      for (const known of endings.keys()) if (index.get(known) === undefined) endings.delete(known);
      if (event === 'ended') endings.set(id, detail);
      else if (event === 'panicked') crashes.panicked(id);
      else if (!locks.isHeld(id)) reboots.notice(id);
    },
    (error) => {
      log.warn({ err: error }, 'libvirt’s events cannot be followed at the moment');
      life.pardonAll();
    },
  );

  const tokensKey = masterKey.derive('tokens');
  const guests = new GuestWatch({
    journal,
    running: () =>
      index.all().flatMap(({ id, phase, view }) => (phase.name === 'running' && view.spec.warm !== true ? [id] : [])),
    agentOf: (id) => {
      const manifest = index.get(id);
      if (manifest?.view.spec.warm === true) return undefined;
      if (manifest?.phase.name !== 'running' || manifest.slot === null || locks.isHeld(id)) return undefined;
      return {
        address: { host: slotAddress(manifest.slot), port: AGENT_PORT },
        token: accessToken(tokensKey, agentTokenOwner(manifest)),
      };
    },
    onAnswer: (id) => life.heard(id),
    onForgotten: (id) => reboots.notice(id),
    log,
  });
  const tenantUses = new TenantUses(index);
  const gateway = createGateway({
    token: gatewayToken(masterKey),
    index: { list: () => index.views(), get: (id) => index.view(id), isUnreadable: (id) => index.isUnreadable(id) },
    use: (tenant, named) => tenantUses.of(tenant, named),
    report: async () => ({
      hostId: config.hostId,
      templates: (await listTemplates(config.templateDir)).map(({ key, ...template }) => ({
        ...template,
        templateKey: key,
      })),
      free: await roomToOffer(index, reserved, memories.heldMiB + discarded.heldMiB),
      warm: warmPool.candidates(),
    }),
    route: (id) => {
      const manifest = index.get(id);
      if (manifest === undefined || manifest.slot === null || manifest.view.spec.warm === true) return undefined;
      if (!['running', 'saving'].includes(manifest.phase.name)) return undefined;
      const open = manifest.phase.name === 'running' && traffic.isGateOpen(id);
      return {
        address: { host: slotAddress(manifest.slot), port: AGENT_PORT },
        token: accessToken(tokensKey, agentTokenOwner(manifest)),
        open,
      };
    },
    journal: {
      samples: async (id) => {
        await guests.freshen(id);
        return journal.samples(id);
      },
      latest: async (id) => {
        await guests.freshen(id);
        return journal.latest(id);
      },
      entries: (id) => journal.entries(id),
    },
    dial: dialTunnel,
    activity: traffic,
    connectionLimit: config.connectionLimit,
    log,
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
    (error) => log.warn({ err: error }, 'the room on the disk could not be looked at'),
  );
  const shares = new TenantShares({
    ...{ driver, index, domainPrefix: DOMAIN_PREFIX, diskRate: config.diskRate, log },
  });
  const stopSharing = every(
    LOOK_AT_SHARES_EVERY_MS,
    () => shares.look(),
    (error) => log.warn({ err: error }, 'what tenants may take beside each other could not be looked at'),
  );
  const unwatch = watchMachines({
    ...{ driver, index, locks, log, domainPrefix: DOMAIN_PREFIX },
    isHeld: (id) => diskHold.isHeld(id),
    stands: (id) => life.stands(id),
    howItEnded: (id) => endings.get(id),
    report: async (id, generation, reason) => {
      await workflows.machineEnded(id, generation, reason);
      endings.delete(id);
    },
  });
  const unwatchGuests = life.start();
  const inFlight = new InFlight(IN_FLIGHT_DIRECTORY, config.stateDir);
  await inFlight.open();
  await inFlight.sweep();
  const steps = new StepClient(client, config.temporal.namespace);
  const abandoned = await inFlight.abandoned((token) => steps.fail(token));
  if (abandoned > 0)
    log.warn({ steps: abandoned }, 'the last host worker ended in the middle of steps; they are tried again');
  const worker = await createHostWorker(
    connection,
    config.temporal.namespace,
    config.hostId,
    createHostActivities(context, inFlight),
  );
  const runs = new SandboxRuns(client, config.temporal.namespace);
  const reaper = new Reaper(context, config.reapAgeMs, () =>
    observe({
      ...{ stateDir: config.stateDir, manifestsKey, libvirtUri: config.libvirtUri, uidBase: config.uidBase },
      ...{ slotsDirectory: SLOTS_DIRECTORY, domainPrefix: DOMAIN_PREFIX, guardTable: GUARD_TABLE, digests: false },
      secretUuid: (id) => derivedUuid(id, 'secret'),
      workflows: async (ids) => {
        await requireKnownTemporal(config.stateDir, await runs.namespaceId());
        return runs.findOnHost(config.hostId, ids);
      },
    }),
  );
  const stopReaping = every(
    config.reapEveryMs,
    async () => {
      await reaper.sweep();
      const drafts = await sweepDrafts(config.templateDir, Date.now());
      if (drafts.length > 0) log.warn({ drafts }, 'removed what interrupted template builds had left');
    },
    (error) => log.warn({ err: error }, 'the reaper could not look; it does nothing until it can'),
  );
  const stopTending = every(
    TEND_EVERY_MS,
    () => warmPool.tend(),
    (error) => log.warn({ err: error }, 'the warm pool could not be looked at'),
  );
  const stopSealingAhead = sealAhead(context, config.sealAheadMs);
  log.info({ host: config.hostId, sandboxes: index.all().length }, 'host worker is running');
  await worker.run();

  unwatch();
  unwatchGuests();
  unfollowGuard();
  stopGuarding();
  stopHolding();
  stopSharing();
  stopReaping();
  stopTending();
  unfollow();
  guests.stop();
  gateway.close();
  gateway.closeAllConnections();
  await Promise.allSettled([
    stopSealingAhead(),
    pool.close(),
    memories.close(),
    discarded.settled(),
    client.close(),
    connection.close(),
    driver.close(),
    stopTracing(),
  ]);
  await unlock();
}

/** `process.exit` would wait for the threads that are in calls of libvirt, and such a call may wait for ever. */
function fail(error: unknown): void {
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
  writeSync(process.stderr.fd, `host-worker: ${what}\n`);
  process.kill(process.pid, 'SIGKILL');
}

process.on('uncaughtException', fail);
main().then(() => process.exit(0), fail);
