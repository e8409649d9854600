import { readConfig } from '../config.js';
import { createLogger } from '../log.js';
import { lazyConnection, workerConnection } from '../temporal/connection.js';
import { registerSearchAttributes } from '../temporal/search-attributes.js';
import { createControlWorker } from '../temporal/worker.js';

/** Control worker: runs the sandboxes' workflows. Stateless; as many as you like. */
async function main(): Promise<void> {
  const config = readConfig(process.env);
  const log = createLogger('control-worker', config.logLevel);
  const { namespace } = config.temporal;
  const client = await lazyConnection(config.temporal);
  await registerSearchAttributes(client, namespace);
  await client.close();
  const connection = await workerConnection(config.temporal);
  const worker = await createControlWorker(connection, namespace);
  log.info({ namespace }, 'control worker is running');
  await worker.run();
  await connection.close();
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(
      `control-worker: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    process.exit(1);
  },
);
