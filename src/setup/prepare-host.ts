import type { Config } from '../config.js';
import { openGuard } from '../guard/guard.js';
import { openWall } from '../guard/wall.js';
import { StatePaths } from '../host/state-paths.js';
import { LibvirtDriver } from '../libvirt/libvirt.js';
import { ensureTemplate } from '../template/build.js';
import { chooseAccelerator, type Accelerator } from './accelerator.js';
import { prepareCertificate } from './certificate.js';
import { prepareDirectories } from './directories.js';
import { hostGuardRules } from './guard-rules.js';
import { prepareLibvirt } from './libvirt.js';
import { openPasstDirectory } from './passt-directory.js';
import { qemuIds } from './qemu-user.js';
import { sideBySide } from './side-by-side.js';
import { warnOfSwap } from './swap.js';
import { temporalCli } from './temporal-cli.js';
import { TimeLeft } from './time-left.js';

/** Brings a machine to the point where the roles can start. Every step may be repeated. @throws Error that names the step. */
export async function prepareHost(config: Config, say: (line: string) => void): Promise<void> {
  const step = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw new Error(`${what}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  };
  await step('directories', () => prepareDirectories(config));
  await step('swap', () => warnOfSwap(say));
  await step('certificate', () => prepareCertificate(config, say));
  const left = new TimeLeft(say);
  const temporal = (): Promise<void> =>
    step('Temporal CLI', async () => {
      try {
        await temporalCli(config, say, (ms) => left.expect('Temporal', ms));
      } finally {
        left.over('Temporal');
      }
    });
  const guests = async (): Promise<void> => {
    await step('libvirt', () => prepareLibvirt(config, say));
    const { gid } = await step("libvirt's QEMU user", qemuIds);
    await step("passt's directory", () => openPasstDirectory(gid));
    await step('network guard', async () => {
      const wanted = await hostGuardRules(config);
      await openGuard({ wanted }).ensure();
      await openWall({ wanted }).ensure();
    });
    const accelerator = (kernel: () => Promise<string>): Promise<Accelerator> =>
      step('accelerator', () => chooseAccelerator(config, say, kernel));
    const driver = new LibvirtDriver(config.libvirtUri);
    try {
      await step('template', () =>
        ensureTemplate({
          ...config.sandbox,
          ...{ templateDir: config.templateDir, memoryRoot: new StatePaths(config.stateDir).memory },
          maxAgeMs: config.templateMaxAgeMs,
          ...{ driver, uidBase: config.uidBase, uidCount: config.uidCount, gid, accelerator, say },
          expect: (ms) => left.expect('template', ms),
        }),
      );
    } finally {
      left.over('template');
      await driver.close();
    }
  };
  await sideBySide(config.temporal.external ? [guests] : [temporal, guests], say);
}
