import { open, readFile, type FileHandle } from 'node:fs/promises';
import type { Manifest } from '../src/host/manifest.js';
import { copyInto } from '../src/sealing/sparse-copy.js';
import type { Template } from '../src/template/template.js';
import { span } from '../src/tracing/span.js';
import { allOrNone } from './all-of.js';
import type { HostContext } from './host-context.js';
import { machineSpec } from './machine.js';
import { prepareMemory } from './workspace.js';

const MIB = 1024 * 1024;

/** What differs between a create and a resume. */
export interface MachineParts {
  /** Disk and network: what QEMU needs from its start. */
  prepare: () => Promise<void>;
  /**
   * Changes the memory file, which holds the template's memory then, and hands out the device state that belongs to it.
   * Nothing looks at either before this has resolved.
   * @param templates the template's own
   */
  fill: (templates: Buffer, over: AbortSignal) => Promise<Buffer>;
}

/**
 * From directories to a machine that stands, no virtual CPU of which has run. QEMU starts while its memory is still being
 * made, and gets its device state when that is complete. What fails takes the rest with it; the caller clears away.
 */
export async function restoreMachine(
  context: HostContext,
  manifest: Manifest,
  template: Template,
  parts: MachineParts,
  signal: AbortSignal,
): Promise<void> {
  const { memoryFile, restorePipe } = context.index.paths.sandbox(manifest.id);
  const spec = machineSpec(context, manifest, template);
  await prepareMemory(context, manifest);
  const hasMemory = await context.memories.claim(template.key, memoryFile);
  const memory = await open(memoryFile, hasMemory ? 'r+' : 'wx+', 0o600);
  try {
    // QEMU maps it when it starts: in its full size, and as its own.
    await memory.truncate(template.memoryMiB * MIB);
    await memory.chown(spec.uid, spec.gid);
    const head = await readFile(template.deviceState);
    await allOrNone(signal, (over) => {
      const copied = hasMemory ? Promise.resolve() : span('memory', () => copyTemplate(template, memory, over));
      const whole = copied.then(() => parts.fill(head, over));
      const machine = async (): Promise<void> => {
        await parts.prepare();
        over.throwIfAborted();
        await span('restore', () => context.driver.restore(spec, { pipe: restorePipe, head, whole }));
      };
      return [whole, machine()];
    });
  } finally {
    await memory.close();
  }
}

async function copyTemplate(template: Template, memory: FileHandle, signal: AbortSignal): Promise<void> {
  const source = await open(template.memory, 'r');
  try {
    await copyInto(source, memory, template.memoryExtents, signal);
  } finally {
    await source.close();
  }
}
