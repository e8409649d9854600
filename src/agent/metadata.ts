import { createRequire } from 'node:module';
import type * as Xattr from '@napi-rs/xattr';

/** Loaded by its own name: the package around it looks for twenty platforms. */
const xattr = createRequire(import.meta.url)('@napi-rs/xattr-linux-x64-gnu') as typeof Xattr;

const PREFIX = 'user.e2b.';

export type Metadata = Record<string, string>;

/** What was stored with an upload; empty where the file system keeps no such attributes. */
export async function readMetadata(file: string): Promise<Metadata> {
  const names = await xattr.listAttributes(file).catch(() => []);
  const pairs = names
    .filter((name) => name.startsWith(PREFIX))
    .map(async (name) => {
      const value = await xattr.getAttribute(file, name).catch(() => null);
      return value === null ? [] : [[name.slice(PREFIX.length), value.toString('utf8')] as const];
    });
  return Object.fromEntries((await Promise.all(pairs)).flat());
}

export async function writeMetadata(file: string, metadata: Metadata): Promise<void> {
  for (const [key, value] of Object.entries(metadata)) await xattr.setAttribute(file, PREFIX + key, value);
}
