import { DefaultLogger, Runtime } from '@temporalio/worker';
import { FakeMachines } from '../bench/machineless/fake-machines.js';
import { obeyParent } from '../bench/machineless/machine-orders.js';
import { startMachinelessHost, type MachinelessSettings } from '../bench/machineless/machineless-host.js';
import { readConfig } from '../config.js';
import type { Reserve } from '../host/admission.js';
import { lockStateDirectory } from '../host/host-lock.js';
import { startTracing } from '../tracing/start-tracing.js';

/** The first argument, JSON; absent: as the configuration says, with nothing reserved. */
type Settings = Partial<MachinelessSettings> & { reserved?: Reserve };

/**
 * A host worker over simulated machines. The bench measures with it what Dormouse itself costs. A test starts it as a process of
 * its own, so that the test's work does not delay it; the test sends it orders for the machines, and it ends with the test.
 */
async function main(): Promise<void> {
  const config = readConfig(process.env);
  // Ends by the signal's handler below, in order.
  const stopTracing = startTracing('host', config.tracing);
  Runtime.install({ logger: new DefaultLogger('WARN'), shutdownSignals: [] });
  const unlock = await lockStateDirectory(config.stateDir);
  const reaping = { everyMs: config.reapEveryMs, ageMs: config.reapAgeMs };
  const { reserved, ...settings } = JSON.parse(process.argv[2] ?? '{}') as Settings;
  const machines = new FakeMachines();
  const end = await startMachinelessHost({ ...config, reaping, ...settings }, machines, reserved);
  if (process.connected) obeyParent(machines);
  await new Promise((resolve) => {
    process.once('disconnect', resolve);
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
  await end();
  await stopTracing();
  await unlock();
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(
      `machineless-host-worker: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    process.exit(1);
  },
);
