import { mkdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { mintKey } from '../../api/api-keys.js';
import { readConfig, type Config } from '../../config.js';
import { clientUrls } from '../../setup/client-settings.js';
import { prepareDirectories } from '../../setup/directories.js';
import { Service } from '../../setup/service.js';
import { ServiceClient } from '../service-client.js';
import { idleVirsh } from './idle-virsh.js';

export const ROLES = ['api', 'control-worker', 'host-worker', 'temporal'] as const;
export type Role = (typeof ROLES)[number];

const HOST_STAND_IN = { 'host-worker': 'machineless-host-worker' };

/**
 * The whole service as processes, with real Temporal on the state directory's own file system, and a host worker whose
 * machines are not there. On an empty state directory, which goes with it.
 */
export class MachinelessService {
  private constructor(
    readonly config: Config,
    readonly endpoint: Endpoint,
    private readonly service: Service,
  ) {}

  /** @param given with a state directory and ports of its own */
  static async start(given: NodeJS.ProcessEnv, say: (line: string) => void): Promise<MachinelessService> {
    const config = readConfig(given);
    await clear(config);
    await mkdir(config.stateDir, { recursive: true });
    await prepareDirectories(config);
    const env = { ...given, PATH: `${await idleVirsh(config.stateDir)}:${given['PATH'] ?? ''}` };
    const apiKey = await mintKey(config.apiKeysFile, 'default');
    const service = new Service(config, env, say, HOST_STAND_IN);
    const started = new MachinelessService(config, { api: clientUrls(config).api, apiKey }, service);
    try {
      await service.start();
    } catch (error) {
      await started.end();
      throw error;
    }
    return started;
  }

  /** Resident memory of each role's process, MiB. */
  async residentMiB(): Promise<Record<Role, number>> {
    const entries = await Promise.all(
      ROLES.map(async (role) => {
        const status = await readFile(`/proc/${this.service.child(role).pid}/status`, 'utf8');
        return [role, Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024] as const;
      }),
    );
    return Object.fromEntries(entries) as Record<Role, number>;
  }

  /** Stops a role and starts it again. @returns before it is ready. */
  async restart(role: Role): Promise<void> {
    await this.service.child(role).stop();
    this.service.child(role).start();
  }

  /** Resolves once host worker and api answer. */
  ready(): Promise<void> {
    return this.service.ready();
  }

  async end(): Promise<void> {
    await this.service.stop();
    await clear(this.config);
  }
}

async function clear({ stateDir }: Config): Promise<void> {
  await execa('umount', [path.join(stateDir, 'memory')], { reject: false });
  await rm(stateDir, { recursive: true, force: true });
}
