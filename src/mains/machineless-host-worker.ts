import { DefaultLogger, Runtime } from '@temporalio/worker';
import { FakeMachines } from '../bench/machineless/fake-machines.js';
import { startMachinelessHost } from '../bench/machineless/machineless-host.js';
import { readConfig } from '../config.js';
import { lockStateDirectory } from '../host/host-lock.js';
import { startTracing } from '../tracing/start-tracing.js';

/** A host worker whose machines are not there, for the bench: what is left is what Dormouse itself costs. */
async function main(): Promise<void> {
  const config = readConfig(process.env);
  // Ends by the signal's handler below, in order.
  const stopTracing = startTracing('host', config.tracing);
  Runtime.install({ logger: new DefaultLogger('WARN'), shutdownSignals: [] });
  const unlock = await lockStateDirectory(config.stateDir);
  const reaping = { everyMs: config.reapEveryMs, ageMs: config.reapAgeMs };
  const end = await startMachinelessHost({ ...config, reaping }, new FakeMachines());
  await new Promise((resolve) => {
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
