import { parseArgs } from 'node:util';
import { Identity } from './identity.js';
import { PipePool } from './process/pipe-pool.js';
import { rehearse } from './rehearse.js';
import { ReseedWatch } from './reseed.js';
import { createAgent } from './server.js';
import { serveSideCalls } from './side/serve.js';

const AGENT_PORT = 49_983;

/** `side-process` is for the processes that the agent starts beside itself; the other flags are for tests. */
const { values } = parseArgs({
  options: {
    port: { type: 'string' },
    'no-set-clock': { type: 'boolean' },
    'run-directory': { type: 'string' },
    root: { type: 'string' },
    'side-process': { type: 'boolean' },
  },
});

const identityIn = (root: string | undefined): Identity | undefined =>
  root === undefined ? undefined : new Identity(root);

process.umask(0o022);
if (values['side-process'] === true) serveSideCalls();
else await serveAgent();

async function serveAgent(): Promise<void> {
  const options = {
    setsClock: values['no-set-clock'] !== true,
    reseeds: new ReseedWatch(),
    identity: identityIn(values.root ?? (values['no-set-clock'] === true ? undefined : '/')),
    pipes: new PipePool(values['run-directory'] ?? '/run/dormouse-agent'),
  };
  const agent = createAgent(options);
  agent.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EAFNOSUPPORT') agent.listen(port, '0.0.0.0');
    else throw error;
  });
  // An agent that starts again knows neither its token nor its processes: whatever went wrong, it goes on.
  for (const event of ['uncaughtException', 'unhandledRejection']) {
    process.on(event, (error: unknown) => console.error(event, error));
  }
  const port = Number(values.port ?? AGENT_PORT);
  if (options.setsClock) await rehearse(options).catch((error: unknown) => console.error('rehearsal', error));
  agent.listen(port, '::');
}
