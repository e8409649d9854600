import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { mintKey } from '../../api/api-keys.js';
import { readConfig, type Config } from '../../config.js';
import { clientUrls } from '../../setup/client-settings.js';
import { prepareDirectories } from '../../setup/directories.js';
import { Service } from '../../setup/service.js';
import { ROLES, type Role } from '../bench-service.js';
import { keepLogs } from '../keep-logs.js';
import type { Trace } from '../measurement.js';
import { ownPlace } from '../own-place.js';
import { residentMiB } from '../process-usage.js';
import { readTrace } from '../read-trace.js';
import { ServiceClient, type Timed } from '../service-client.js';
import { idleVirsh } from './idle-virsh.js';

/**
 * The whole service as processes, with real Temporal on the state directory's own file system, and a host worker whose
 * machines are not there. On an empty state directory, which goes with it.
 */
export class MachinelessService {
  private constructor(
    readonly config: Config,
    readonly client: ServiceClient,
    private readonly service: Service,
    private readonly traceFile: string,
  ) {}

  /** @param port first of its ports; the others as in `BenchService.start` */
  static async start(
    env: NodeJS.ProcessEnv,
    port: number,
    more: NodeJS.ProcessEnv,
    say: (line: string) => void,
    atEnd: (work: () => Promise<void>) => void,
  ): Promise<MachinelessService> {
    const { home } = readConfig(env);
    const traceFile = path.join(home, `bench-${port}.spans`);
    const settings = {
      ...env,
      ...ownPlace(home, port),
      DORMOUSE_TRACE_FILE: traceFile,
      DORMOUSE_LOG_LEVEL: 'warn',
      ...more,
    };
    const config = readConfig(settings);
    const clear = async (): Promise<void> => {
      await execa('umount', [path.join(config.stateDir, 'memory')], { reject: false });
      await rm(config.stateDir, { recursive: true, force: true });
      await rm(traceFile, { force: true });
    };
    await clear();
    await mkdir(config.stateDir, { recursive: true });
    const withVirsh = { ...settings, PATH: `${await idleVirsh(config.stateDir)}:${env['PATH'] ?? ''}` };
    const service = new Service(config, withVirsh, say, { 'host-worker': 'machineless-host-worker' });
    atEnd(async () => {
      await service.stop();
      await keepLogs(config).finally(clear);
    });
    await prepareDirectories(config);
    const apiKey = await mintKey(config.apiKeysFile, 'default');
    await service.start();
    return new MachinelessService(config, new ServiceClient({ ...clientUrls(config), apiKey }), service, traceFile);
  }

  /** Resident memory of each role's process, MiB. */
  async residentMiB(): Promise<Record<Role, number>> {
    const entries = await Promise.all(
      ROLES.map(async (role) => [role, await residentMiB(this.service.child(role).pid ?? 0)] as const),
    );
    return Object.fromEntries(entries) as Record<Role, number>;
  }

  stopRole(role: Role): Promise<void> {
    return this.service.child(role).stop();
  }

  /** Starts a role that was stopped. @returns seconds until `answers` resolves. */
  async startRole(role: Role, answers: () => Promise<void>): Promise<number> {
    const start = performance.now();
    this.service.child(role).start();
    await answers();
    return (performance.now() - start) / 1000;
  }

  logFile(role: Role): string {
    return path.join(this.config.stateDir, 'logs', `${role}.log`);
  }

  trace(operation: string, timed: Timed): Promise<Trace> {
    return readTrace(this.traceFile, operation, timed);
  }
}
