import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import type { BenchService } from './bench-service.js';
import type { Sandbox } from './service-client.js';

/** The files that hold a sleeping sandbox's memory. */
export async function imagesOf({ paths }: BenchService, { id }: Sandbox): Promise<string[]> {
  const { directory } = paths.sandbox(id);
  const names = (await readdir(directory)).filter((name) => /^image-.*\.sealed$/.test(name));
  return names.map((name) => path.join(directory, name));
}

/** What the disk has of a sleeping sandbox's memory. */
export async function imageBytes(service: BenchService, sandbox: Sandbox): Promise<number> {
  const sizes = (await imagesOf(service, sandbox)).map(async (file) => (await stat(file)).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** What the files below a directory take up, at any depth; one that is not there has none. */
export async function bytesBelow(directory: string): Promise<number> {
  const found = await readdir(directory, { recursive: true, withFileTypes: true }).catch(nothingIfAbsent);
  const files = found.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).blocks * 512));
  return sizes.reduce((sum, size) => sum + size, 0);
}

function nothingIfAbsent(error: NodeJS.ErrnoException): [] {
  if (error.code === 'ENOENT') return [];
  throw error;
}
