import { rm } from 'node:fs/promises';
import type { Manifest } from '../src/host/manifest.js';
import type { Template } from '../src/template/template.js';
import { failure } from './failure.js';
import type { HostContext } from './host-context.js';
import { domainName, machineSpec } from './machine.js';
import { sealMemory } from './seal-memory.js';
import { clearWorkspace } from './workspace.js';

/**
 * After `run`, when the agent never answered: the old image is dead, so the machine as it now is becomes the image of
 * this generation. Only if that fails too is the sandbox lost.
 */
export async function saveAgain(
  context: HostContext,
  manifest: Manifest,
  template: Template,
  signal: AbortSignal,
): Promise<void> {
  const paths = context.index.paths.sandbox(manifest.id);
  try {
    await rm(paths.deviceState, { force: true });
    await context.driver.save(machineSpec(context, manifest, template), paths.deviceState);
    const image = await sealMemory(context, manifest, template, signal);
    const dead = manifest.image;
    await context.index.change(manifest.id, {
      phase: { name: 'saved' },
      slot: null,
      image,
      view: { ...manifest.view, image },
    });
    if (dead !== undefined) await rm(paths.image(dead.generation), { force: true });
    await clearWorkspace(context, manifest);
  } catch (error) {
    signal.throwIfAborted();
    const why = 'its agent did not answer after a resume, and it could not be saved again';
    await context.driver.destroy(domainName(manifest.id));
    await context.index.change(manifest.id, { phase: { name: 'lost', why } });
    throw failure('Lost', `sandbox ${manifest.id} is lost: ${why}`, { cause: error });
  }
}
