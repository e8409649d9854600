import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { DefaultLogger, makeTelemetryFilterString, Runtime } from '@temporalio/worker';
import { noCrashes } from '../../activities/crash-switch.js';
import { createHostActivities } from '../../activities/host.js';
import { InFlight } from '../../activities/in-flight.js';
import type { HostContext } from '../../activities/host-context.js';
import { DOMAIN_PREFIX } from '../../activities/machine.js';
import { randomSandboxId } from '../../src/api/sandbox-id.js';
import type { Config } from '../../src/config.js';
import { Activity } from '../../src/gateway/activity.js';
import { createGateway } from '../../src/gateway/gateway.js';
import { gatewayToken } from '../../src/gateway/gateway-token.js';
import { AGENT_PORT } from '../../src/gateway/wire.js';
import { dialTunnel } from '../../src/guest/client.js';
import type { Room } from '../../src/host/admission.js';
import { every } from '../../src/host/every.js';
import { watchMachines } from '../../src/host/machine-watch.js';
import { MemoryPool } from '../../src/host/memory-pool.js';
import { OverlayPool } from '../../src/host/overlay-pool.js';
import { SandboxIndex } from '../../src/host/sandbox-index.js';
import { SandboxLocks } from '../../src/host/sandbox-locks.js';
import { SlotClaims } from '../../src/host/slot-claims.js';
import { slotAddress } from '../../src/host/slots.js';
import { StatePaths } from '../../src/host/state-paths.js';
import { WarmPool } from '../../src/host/warm-pool.js';
import { Journal } from '../../src/journal/journal.js';
import { accessToken } from '../../src/keys/access-token.js';
import { fileMasterKey } from '../../src/keys/master-key.js';
import { createLogger } from '../../src/log.js';
import { lazyConnection, workerConnection } from '../../src/temporal/connection.js';
import { TemporalSandboxClient } from '../../src/temporal/sandbox-client.js';
import { createHostWorker } from '../../src/temporal/worker.js';
import { copySparse } from '../../src/sealing/sparse-copy.js';
import { templateFiles, type Template } from '../../src/template/template.js';
import type { FakeMachines } from './fake-machines.js';

Runtime.install({
  logger: new DefaultLogger('ERROR'),
  telemetryOptions: { logging: { filter: makeTelemetryFilterString({ core: 'ERROR' }) } },
});

/** Far from the slots of real sandboxes on this machine, whose addresses these would otherwise be, and from other runs. */
const FIRST_SLOT = 1_000_000 + (process.pid % 3_000) * 1_000;
const MEMORY_MIB = 4;
const TEND_EVERY_MS = 100;

class FarSlots extends SlotClaims {
  override async claim(sandbox: string): Promise<number | undefined> {
    const slot = await super.claim(sandbox);
    return slot === undefined ? undefined : FIRST_SLOT + slot;
  }

  override async of(sandbox: string, likely: number | null): Promise<number[]> {
    const slots = await super.of(sandbox, likely === null ? null : likely - FIRST_SLOT);
    return slots.map((slot) => FIRST_SLOT + slot);
  }

  override release(slot: number): Promise<void> {
    return super.release(slot - FIRST_SLOT);
  }
}

async function tinyTemplate(directory: string): Promise<Template> {
  const files = templateFiles(directory);
  await mkdir(directory, { recursive: true });
  await writeFile(files.memory, Buffer.alloc(MEMORY_MIB * 1024 * 1024));
  await writeFile(files.deviceState, 'LibvirtQemudSave of a machine that is not there'.padEnd(4096, '.'));
  return {
    ...files,
    ...{ schema: 1, key: 'tinytemplate', names: ['base'], createdAt: 1, accelerator: 'tcg', machineType: 'none' },
    ...{ cpuModel: 'none', cpuCount: 1, memoryMiB: MEMORY_MIB, diskMiB: 1, kernelArguments: '', macAddress: '' },
    ...{ envdVersion: '0.5.2', versions: {}, memoryExtents: [] },
  };
}

/**
 * The host worker with machines of a fake driver: gateway, activities, index, sealing and slots are the real ones. It
 * lives in the test's own process, and `virsh` (for libvirt's secrets) is a program that does nothing.
 * @returns ends it; its machines run on.
 */
export async function startMachinelessHost(
  config: Config,
  driver: FakeMachines,
  reserved: Room,
): Promise<() => Promise<void>> {
  const log = createLogger('machineless-host', 'error');
  const paths = new StatePaths(config.stateDir);
  const programs = path.join(config.stateDir, 'programs');
  for (const directory of [paths.sandboxes, paths.memory, programs]) await mkdir(directory, { recursive: true });
  await writeFile(path.join(programs, 'virsh'), '#!/bin/sh\nexit 0\n', { mode: 0o755 });
  process.env['PATH'] = `${programs}:${process.env['PATH'] ?? ''}`;

  const masterKey = await fileMasterKey(config.masterKeyFile);
  const index = await SandboxIndex.load(paths, log);
  const traffic = new Activity();
  const locks = new SandboxLocks();
  const template = await tinyTemplate(path.join(config.stateDir, 'template'));
  const pool = new OverlayPool({
    ...{ directory: paths.overlayPool, size: 0, wrapper: masterKey.wrapper, log },
    makeOverlay: (file) => writeFile(file, ''),
  });
  await pool.sweep();
  const memories = new MemoryPool<Template>({
    ...{ directory: paths.memoryPool, size: 1, log },
    isIdle: () => !locks.anyHeld,
    hasRoom: () => Promise.resolve(true),
    copy: ({ memory, memoryExtents }, file, signal) => copySparse(memory, file, memoryExtents, { signal }),
  });
  await memories.open(template);
  const journal = new Journal(paths);
  const inFlight = new InFlight(path.join(config.stateDir, 'in-flight'), config.stateDir);
  const slots = new FarSlots({
    directory: path.join(config.stateDir, 'slots'),
    stateDir: config.stateDir,
    count: 1000,
  });
  const client = await lazyConnection(config.temporal);
  const workflows = new TemporalSandboxClient(client, config.temporal.namespace);
  const warmPool = new WarmPool({
    ...{ size: config.warmPool, hostId: config.hostId, index, newId: randomSandboxId, log },
    newest: () => Promise.resolve(template),
    fits: () => Promise.resolve(true),
    isFree: (id) => !locks.isHeld(id) && traffic.isGateOpen(id),
    start: (spec) => workflows.create(spec),
    discard: (id, why) => workflows.discard(id, why),
  });
  const context: HostContext = {
    ...{ libvirtUri: config.libvirtUri, uidBase: config.uidBase, gid: 0, reserved },
    ...{ driver, index, locks, slots, pool, memories, masterKey, traffic, journal, log },
    makeRoom: () => warmPool.makeRoom(),
    reached: noCrashes,
    guard: { check: async () => {}, allowInternet: async () => {}, denyInternet: async () => {} },
    template: (key) => Promise.resolve(key === template.key ? template : undefined),
  };
  const tokensKey = masterKey.derive('tokens');
  const { names, cpuCount, memoryMiB, diskMiB, envdVersion, createdAt } = template;
  const gateway = createGateway({
    token: gatewayToken(masterKey),
    index: { list: (tenant) => index.views(tenant), get: (id) => index.view(id) },
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
      return { address, token: accessToken(tokensKey, id), open: traffic.isGateOpen(id) };
    },
    journal: {
      samples: (id) => Promise.resolve(journal.samples(id)),
      latest: (id) => Promise.resolve(journal.latest(id)),
      entries: (id) => journal.entries(id),
    },
    ...{ dial: dialTunnel, activity: traffic, connectionLimit: 10_000, log },
  });
  gateway.listen(config.gatewayPort, '127.0.0.1');
  await once(gateway, 'listening');

  const connection = await workerConnection(config.temporal);
  const unwatch = watchMachines({
    ...{ driver, index, locks, log, domainPrefix: DOMAIN_PREFIX },
    howItEnded: () => undefined,
    report: (id, generation, reason) => workflows.machineEnded(id, generation, reason),
  });
  const { namespace } = config.temporal;
  const worker = await createHostWorker(connection, namespace, config.hostId, createHostActivities(context, inFlight));
  const running = worker.run();
  const stopTending = every(
    TEND_EVERY_MS,
    () => warmPool.tend(),
    () => undefined,
  );
  return async () => {
    stopTending();
    worker.shutdown();
    await running;
    unwatch();
    gateway.close();
    gateway.closeAllConnections();
    await Promise.allSettled([pool.close(), memories.close(), client.close(), connection.close()]);
  };
}
