import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { clearGround, endMachines, unmountGround } from '../../src/chaos/ground.js';
import { readConfig, type Config } from '../../src/config.js';
import { ownPorts } from '../../src/setup/own-ports.js';

const dist = path.resolve(import.meta.dirname, '../../dist/src');

export interface RunningService {
  config: Config;
  env: NodeJS.ProcessEnv;
  apiKey: string;
  /** Ends the service and everything that is in its state directory. */
  end(): Promise<void>;
  /** kill -9 of these roles; they are started again by the supervisor. */
  crash(roles: string[]): Promise<void>;
  /** Resolves once every role answers again. */
  ready(): Promise<void>;
}

/** First of the ports that tests listen on: two checkouts on one machine can be tested side by side. */
export const FIRST_PORT = Number(process.env['DORMOUSE_TEST_PORT'] ?? 13_000);

/** The settings of a service that tests start: its own ports and state directory, which is the same for the same name. */
export function serviceEnvironment(name: string, portOffset: number, extra: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const basePort = FIRST_PORT + portOffset;
  const home = process.env['DORMOUSE_HOME'] ?? '/var/lib/dormouse';
  return {
    ...process.env,
    DORMOUSE_STATE_DIR: path.join(home, `test-${name}-${process.pid}`),
    DORMOUSE_HOST_ID: `test-${name}`,
    ...ownPorts(basePort),
    DORMOUSE_LOG_LEVEL: 'debug',
    ...extra,
  };
}

/**
 * The whole service, as `make up` starts it, on its own ports and an empty state directory; the template is shared.
 * @param portOffset of its five ports, from the first test port; each service of a run has its own
 */
export async function startService(
  name: string,
  portOffset: number,
  extra: NodeJS.ProcessEnv = {},
): Promise<RunningService> {
  const env = serviceEnvironment(name, portOffset, extra);
  const config = readConfig(env);
  const say = (line: string): void => void process.stderr.write(`[${name}] ${line}\n`);
  const { prepareHost } = (await import(
    path.join(dist, 'setup/prepare-host.js')
  )) as typeof import('../../src/setup/prepare-host.js');
  const { Service } = (await import(
    path.join(dist, 'setup/service.js')
  )) as typeof import('../../src/setup/service.js');
  const { mintKey } = (await import(path.join(dist, 'api/api-keys.js'))) as typeof import('../../src/api/api-keys.js');
  const service = new Service(config, env, say);
  const end = async (): Promise<void> => {
    await service.stop();
    await cleanUp(config);
  };
  let apiKey: string;
  try {
    await mkdir(config.stateDir, { recursive: true });
    await prepareHost(config, say);
    apiKey = await mintKey(config.apiKeysFile, 'default');
    await service.start();
  } catch (error) {
    await end();
    throw error;
  }
  return {
    config,
    env,
    apiKey,
    end,
    async crash(roles) {
      for (const role of roles) await service.child(role).crash();
    },
    ready: () => service.ready(),
  };
}

/** Whatever is of this state directory; nothing else is touched. */
async function cleanUp(config: Config): Promise<void> {
  if (process.env['DORMOUSE_KEEP_TEST_STATE'] === undefined) return clearGround(config);
  await endMachines(config);
  await unmountGround(config.stateDir);
}

export const readLog = (service: RunningService, role: string): Promise<string> =>
  readFile(path.join(service.config.stateDir, 'logs', `${role}.log`), 'utf8');
