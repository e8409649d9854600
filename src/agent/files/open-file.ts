import { constants, type Stats } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { refuseUnlessFile, refuseUnlessWritable } from './file-kind.js';

const { O_NOCTTY, O_NONBLOCK, O_RDONLY, O_TRUNC, O_WRONLY } = constants;

export interface OpenFile {
  handle: FileHandle;
  found: Stats;
}

/**
 * Looks what `file` is before it opens it, as opening a device or a pipe does something, and looks again at what it has
 * opened. Nothing here waits for another program: one of the agent's few threads would wait with it.
 */
export async function openToRead(file: string): Promise<OpenFile> {
  refuseUnlessFile(file, await stat(file));
  return opened(file, O_RDONLY, refuseUnlessFile);
}

/** Opens what is written to as it is: a device, or a file that the kernel makes. */
export async function openToWrite(file: string): Promise<OpenFile> {
  refuseUnlessWritable(file, await stat(file));
  return opened(file, O_WRONLY | O_TRUNC, refuseUnlessWritable);
}

async function opened(file: string, flags: number, refuse: (file: string, found: Stats) => void): Promise<OpenFile> {
  const handle = await open(file, flags | O_NONBLOCK | O_NOCTTY);
  try {
    const found = await handle.stat();
    refuse(file, found);
    return { handle, found };
  } catch (error) {
    await handle.close();
    throw error;
  }
}
