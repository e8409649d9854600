import { createRequire } from 'node:module';
import type * as Xattr from '@napi-rs/xattr';
import { attributesLength } from './libc.js';

/** Loaded by its own name: the package around it looks for twenty platforms. */
const xattr = createRequire(import.meta.url)('@napi-rs/xattr-linux-x64-gnu') as typeof Xattr;

const PREFIX = 'user.e2b.';

export type Metadata = Record<string, string>;

/** What was stored with an upload; empty where the file system keeps no such attributes. Holds everything up. */
export function readMetadata(file: string): Metadata {
  // Of a listing nearly every file: one call of the kernel, and nothing made.
  if (attributesLength(file, null, 0) === 0) return {};
  const pairs = namesOf(file)
    .filter((name) => name.startsWith(PREFIX))
    .flatMap((name) => {
      const value = unlessGone(() => xattr.getAttributeSync(file, name));
      return value === undefined || value === null
        ? []
        : [[name.slice(PREFIX.length), value.toString('utf8')] as const];
    });
  return Object.fromEntries(pairs);
}

const namesOf = (file: string): string[] => unlessGone(() => xattr.listAttributesSync(file)) ?? [];

function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

export async function writeMetadata(file: string, metadata: Metadata): Promise<void> {
  for (const [key, value] of Object.entries(metadata)) await xattr.setAttribute(file, PREFIX + key, value);
}
