import { chmod, rename } from 'node:fs/promises';
import path from 'node:path';
import { writeDurably } from '../durable-file.js';
import { syncToDisk } from '../sync-to-disk.js';
import { templateFiles, type TemplateRecord } from './template.js';

/**
 * Makes a template of the files in `draft`, which goes. From then on sandboxes rest on its bytes and keep only what
 * differs from them, so they are on the disk before it can be found.
 */
export async function publishTemplate(draft: string, record: TemplateRecord, templateDir: string): Promise<void> {
  const { record: recordFile, disk, kernel, initrd, memory, deviceState } = templateFiles(draft);
  await Promise.all([disk, kernel, initrd, memory, deviceState].map(syncToDisk));
  await writeDurably(recordFile, JSON.stringify(record, null, 2));
  await chmod(recordFile, 0o444);
  await rename(draft, path.join(templateDir, record.key));
  await syncToDisk(templateDir);
}
