import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';

/** `template.json`: everything that a machine saved from this template depends on, recorded at the build. */
export const templateRecord = z.object({
  schema: z.literal(1),
  key: z.string().regex(/^[a-z0-9]{8,64}$/),
  /** Of what it was built from; in records of before, that was the key. */
  inputsHash: z.string().optional(),
  names: z.array(z.string()).min(1),
  createdAt: z.number(),
  accelerator: z.enum(['kvm', 'tcg']),
  machineType: z.string(),
  cpuModel: z.string(),
  cpuCount: z.number().int().positive(),
  memoryMiB: z.number().int().positive(),
  diskMiB: z.number().int().positive(),
  kernelArguments: z.string(),
  macAddress: z.string(),
  /** Absent in records of before its machines had one. */
  panicDevice: z.boolean().optional(),
  envdVersion: z.string(),
  /** Program and package versions that went in. */
  versions: z.record(z.string(), z.string()),
  /** Non-zero parts of the memory file, [offset, length] in bytes. */
  memoryExtents: z.array(z.tuple([z.number(), z.number()])),
});

export type TemplateRecord = z.infer<typeof templateRecord>;

/** A built template: immutable, kept while any sandbox refers to it. */
export interface Template extends TemplateRecord {
  directory: string;
  disk: string;
  kernel: string;
  initrd: string;
  memory: string;
  deviceState: string;
}

export const templateFiles = (directory: string) => ({
  directory,
  record: path.join(directory, 'template.json'),
  disk: path.join(directory, 'disk.qcow2'),
  kernel: path.join(directory, 'vmlinuz'),
  initrd: path.join(directory, 'initrd'),
  memory: path.join(directory, 'memory'),
  deviceState: path.join(directory, 'device'),
});

/** @returns undefined when there is no such template; `template.json` is written last, so one that has it is complete. */
export async function readTemplate(templateDir: string, key: string): Promise<Template | undefined> {
  const { record, ...files } = templateFiles(path.join(templateDir, key));
  const text = await readFile(record, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  const parsed = templateRecord.safeParse(JSON.parse(text));
  if (!parsed.success) throw new Error(`${record} is not a template's record: ${z.prettifyError(parsed.error)}`);
  return { ...parsed.data, ...files };
}

/** @returns the newest of `templates` that was built from these inputs. */
export const builtFrom = <T extends Pick<Template, 'key' | 'inputsHash'>>(
  templates: readonly T[],
  inputsHash: string,
): T | undefined => templates.find((template) => (template.inputsHash ?? template.key) === inputsHash);

/** All complete templates, newest first. */
export async function listTemplates(templateDir: string): Promise<Template[]> {
  const keys = await readdir(templateDir).catch(() => []);
  const found = await Promise.all(
    keys.filter((key) => /^[a-z0-9]+$/.test(key)).map((key) => readTemplate(templateDir, key)),
  );
  return found.filter((template) => template !== undefined).sort((a, b) => b.createdAt - a.createdAt);
}
