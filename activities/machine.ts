import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { DomainSpec } from '../src/libvirt/domain-spec.js';
import { AGENT_PORT } from '../src/gateway/wire.js';
import { slotAddress, slotUid } from '../src/host/slots.js';
import type { Manifest } from '../src/host/manifest.js';
import { unwrapSandboxKey } from '../src/keys/sandbox-key.js';
import type { Template } from '../src/template/template.js';
import { failure } from './failure.js';
import type { HostContext } from './host-context.js';

export const DOMAIN_PREFIX = 'dormouse-';

export const domainName = (id: string): string => `${DOMAIN_PREFIX}${id}`;

/** Uuid of a sandbox's domain and of its libvirt secret: derived, so that every attempt means the same one. */
export function derivedUuid(id: string, what: 'domain' | 'secret'): string {
  const hash = createHash('sha256').update(`dormouse/${what}/${id}`).digest();
  hash[6] = (hash[6]! & 0x0f) | 0x80;
  hash[8] = (hash[8]! & 0x3f) | 0x80;
  const hex = hash.toString('hex').slice(0, 32);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** @throws Error for a sandbox that sleeps. */
export function slotOf(manifest: Manifest): number {
  if (manifest.slot === null) throw new Error(`sandbox ${manifest.id} has no machine, and so no unix user and address`);
  return manifest.slot;
}

/** The machine of a sandbox, from what the host recorded of it. */
export function machineSpec(context: HostContext, manifest: Manifest, template: Template): DomainSpec {
  const paths = context.index.paths.sandbox(manifest.id);
  return {
    name: domainName(manifest.id),
    uuid: derivedUuid(manifest.id, 'domain'),
    sandboxId: manifest.id,
    generation: manifest.generation,
    accelerator: template.accelerator,
    machineType: template.machineType,
    cpuModel: template.cpuModel,
    cpuCount: template.cpuCount,
    memoryMiB: template.memoryMiB,
    kernel: template.kernel,
    initrd: template.initrd,
    kernelArguments: template.kernelArguments,
    panicDevice: template.panicDevice,
    onPanic: context.onCrash,
    disk: {
      ...{ path: paths.overlay, backingFile: template.disk, secretUuid: derivedUuid(manifest.id, 'secret') },
      bytesPerSecond: context.diskRate,
    },
    memoryFile: paths.memoryFile,
    qmpSocket: paths.qmpSocket,
    network: { macAddress: template.macAddress, address: slotAddress(slotOf(manifest)), agentPort: AGENT_PORT },
    uid: slotUid(context.uidBase, slotOf(manifest)),
    gid: context.gid,
  };
}

/** @throws ImageIncompatible when this host lacks the template. */
export async function requireTemplate(context: HostContext, key: string): Promise<Template> {
  const template = await context.template(key);
  if (template !== undefined) return template;
  throw failure(
    'ImageIncompatible',
    `this host does not have template ${key}. Bring its directory back, or kill the sandbox.`,
  );
}

/** The sandbox's data key; the caller wipes it. */
export async function dataKeyOf(context: HostContext, id: string): Promise<Buffer> {
  const wrapped = await readFile(context.index.paths.sandbox(id).wrappedKey);
  return unwrapSandboxKey(context.masterKey.wrapper, id, wrapped);
}
