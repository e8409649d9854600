import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { mintKey } from '../api/api-keys.js';
import { clearGround } from '../chaos/ground.js';
import { readConfig, type Config } from '../config.js';
import { StatePaths } from '../host/state-paths.js';
import { clientUrls } from '../setup/client-settings.js';
import { prepareHost } from '../setup/prepare-host.js';
import { Service } from '../setup/service.js';
import { listTemplates, type Template } from '../template/template.js';
import { clearFloors } from './floor.js';
import { keepLogs } from './keep-logs.js';
import { ownPlace } from './own-place.js';
import type { Trace } from './measurement.js';
import { readTrace } from './read-trace.js';
import { ServiceClient, type Timed } from './service-client.js';

export const ROLES = ['api', 'control-worker', 'host-worker', 'temporal'] as const;
export type Role = (typeof ROLES)[number];

export interface ServiceOptions {
  /** Memory of its guests; default: that of the service's own configuration. Others have templates of their own. */
  memoryMiB?: number;
  env?: NodeJS.ProcessEnv;
}

/** The whole service, as `make up` starts it, on its own ports and an empty state directory. */
export class BenchService {
  private constructor(
    readonly config: Config,
    readonly env: NodeJS.ProcessEnv,
    readonly template: Template,
    readonly client: ServiceClient,
    readonly paths: StatePaths,
    private readonly service: Service,
    readonly traceFile: string,
  ) {}

  /**
   * @param env of this process; what the service's own settings do not name is taken from it
   * @param port first of its ports; the state directory is named by it
   * @param atEnd is told how to end it, before anything is started
   */
  static async start(
    env: NodeJS.ProcessEnv,
    port: number,
    { memoryMiB, env: more = {} }: ServiceOptions,
    say: (line: string) => void,
    atEnd: (work: () => Promise<void>) => void,
  ): Promise<BenchService> {
    const { home } = readConfig(env);
    const traceFile = path.join(home, `bench-${port}.spans`);
    const all = { ...env, ...settings(home, port, memoryMiB), DORMOUSE_TRACE_FILE: traceFile, ...more };
    const config = readConfig(all);
    const clear = async (): Promise<void> => {
      await clearFloors(config);
      await clearGround(config);
      await rm(traceFile, { force: true });
    };
    await clear();
    await mkdir(config.stateDir, { recursive: true });
    const service = new Service(config, all, say);
    atEnd(async () => {
      await service.stop();
      await keepLogs(config).finally(clear);
    });
    await prepareHost(config, say);
    const [template] = await listTemplates(config.templateDir);
    if (template === undefined) throw new Error(`there is no template in ${config.templateDir}. Run "make up" first.`);
    const apiKey = await mintKey(config.apiKeysFile, 'default');
    const client = new ServiceClient({ ...clientUrls(config), apiKey });
    await service.start();
    return new BenchService(config, all, template, client, new StatePaths(config.stateDir), service, traceFile);
  }

  /** The spans of a call, so far. */
  trace(operation: string, timed: Timed): Promise<Trace> {
    return readTrace(this.traceFile, operation, timed);
  }

  /** Of every role. */
  processes(): number[] {
    return ROLES.map((role) => this.service.child(role).pid).filter((pid) => pid !== undefined);
  }

  stop(): Promise<void> {
    return this.service.stop();
  }
}

function settings(home: string, port: number, memoryMiB: number | undefined): NodeJS.ProcessEnv {
  return {
    ...ownPlace(home, port),
    ...(memoryMiB === undefined
      ? {}
      : {
          DORMOUSE_SANDBOX_MEMORY_MIB: String(memoryMiB),
          DORMOUSE_TEMPLATE_DIR: path.join(home, `bench-templates-${memoryMiB}`),
        }),
  };
}
