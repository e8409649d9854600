import { open, readFile } from 'node:fs/promises';
import type { Manifest } from '../src/host/manifest.js';
import { copyInto } from '../src/sealing/sparse-copy.js';
import type { Template } from '../src/template/template.js';
import { span } from '../src/tracing/span.js';
import { allOf, allOrNone } from './all-of.js';
import type { HostContext } from './host-context.js';
import { machineSpec } from './machine.js';
import { prepareMemory } from './workspace.js';

const MIB = 1024 * 1024;

/** What differs between a create and a resume. */
export interface MachineParts {
  /** What QEMU needs from its start. */
  disk: () => Promise<void>;
  /** What must be there before a virtual CPU runs. */
  network: () => Promise<void>;
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
  const { restorePipe } = context.index.paths.sandbox(manifest.id);
  const spec = machineSpec(context, manifest, template);
  const head = await readFile(template.deviceState);
  await allOrNone(signal, (over) => {
    const mapped = mapMemory(context, manifest, template);
    const whole = mapped
      .then((has) => (has === 'all' ? undefined : span('memory', () => copyTemplate(template, spec.memoryFile, over))))
      .then(() => parts.fill(head, over));
    const machine = async (): Promise<void> => {
      await allOf(mapped, parts.disk());
      over.throwIfAborted();
      await span('restore', () => context.driver.restore(spec, { pipe: restorePipe, head, whole }));
    };
    return [whole, machine(), parts.network()];
  });
}

/** The memory file as QEMU maps it: in its full size, and its own. @returns how much of the template's memory it holds */
async function mapMemory(context: HostContext, manifest: Manifest, template: Template): Promise<'all' | 'nothing'> {
  const { memoryFile, uid, gid } = machineSpec(context, manifest, template);
  await prepareMemory(context, manifest);
  const has = (await context.memories.claim(template.key, memoryFile)) ? 'all' : 'nothing';
  const memory = await open(memoryFile, has === 'all' ? 'r+' : 'wx', 0o600);
  try {
    await memory.truncate(template.memoryMiB * MIB);
    await memory.chown(uid, gid);
    return has;
  } finally {
    await memory.close();
  }
}

async function copyTemplate(template: Template, memoryFile: string, signal: AbortSignal): Promise<void> {
  const source = await open(template.memory, 'r');
  try {
    const memory = await open(memoryFile, 'r+');
    try {
      await copyInto(source, memory, template.memoryExtents, signal);
    } finally {
      await memory.close();
    }
  } finally {
    await source.close();
  }
}
