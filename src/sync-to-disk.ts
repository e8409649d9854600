import { open } from 'node:fs/promises';

/** What `name` holds by now, whoever wrote it, is on its disk: a file's bytes, a directory's names. */
export async function syncToDisk(name: string): Promise<void> {
  const handle = await open(name, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
