import './plain-keys.js';
import { parseArgs } from 'node:util';
import { isFirst } from './first-time.js';
import { Identity } from './identity.js';
import { rehearse } from './rehearse.js';
import { ReseedWatch } from './reseed.js';
import { createAgent } from './server.js';
import { serveSideCalls } from './side/serve.js';
import { Survival } from './survival/survival.js';

const AGENT_PORT = 49_983;
/** On the template's disk, and so on that of every sandbox. */
const REHEARSED = '/opt/dormouse/rehearsed';

/** `side-process` is for the processes that the agent starts beside itself; the other flags are for tests. */
const { values } = parseArgs({
  options: {
    port: { type: 'string' },
    'no-set-clock': { type: 'boolean' },
    'run-directory': { type: 'string' },
    root: { type: 'string' },
    'side-process': { type: 'boolean' },
    cgroups: { type: 'string' },
  },
});

const identityIn = (root: string | undefined): Identity | undefined =>
  root === undefined ? undefined : new Identity(root);

// Whoever ends programs by name means others. Before this line the name is that of the file which systemd starts.
process.title = 'dormoused';
process.umask(0o022);
if (values['side-process'] === true) serveSideCalls();
else void serveAgent();

async function serveAgent(): Promise<void> {
  const directory = values['run-directory'] ?? '/run/dormouse-agent';
  const reseeds = new ReseedWatch();
  const survival = new Survival(directory, reseeds, process.env);
  const options = {
    setsClock: values['no-set-clock'] !== true,
    reseeds,
    identity: identityIn(values.root ?? (values['no-set-clock'] === true ? undefined : '/')),
  };
  const cgroups = values.cgroups ?? (options.setsClock ? '/sys/fs/cgroup' : undefined);
  const agent = createAgent({ ...options, survival, cgroups });
  agent.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EAFNOSUPPORT') agent.listen(port, '0.0.0.0');
    else throw error;
  });
  // Whatever goes wrong in one call, the others go on.
  for (const event of ['uncaughtException', 'unhandledRejection']) {
    process.on(event, (error: unknown) => console.error(event, error));
  }
  const port = Number(values.port ?? AGENT_PORT);
  // Somebody waits for an agent that is started again, and for a sandbox that boots.
  if (options.setsClock && survival.before === undefined && isFirst(REHEARSED)) {
    await rehearse({ ...options, cgroups }).catch((error: unknown) => console.error('rehearsal', error));
  }
  survival.listen(agent, port, '::');
  // The whole log of the kernel: not at the next wake, when somebody waits.
  if (options.setsClock) setImmediate(() => reseeds.readOn());
}
