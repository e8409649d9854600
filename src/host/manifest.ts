import { readdir, readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { SandboxView, SavedImage } from '../../workflows/view.js';
import { writeDurably } from '../durable-file.js';
import type { TokenOwner } from '../keys/access-token.js';
import { isMacOf, macOf } from '../keys/manifest-mac.js';
import type { StatePaths } from './state-paths.js';

/**
 * What the host knows for a fact about one sandbox, durable: `<state>/sandboxes/<id>/manifest.json`.
 * The workflow holds intent; where they differ, this and the machine itself are right.
 */
export interface Manifest {
  schema: 1;
  id: string;
  /** Highest generation seen; a caller with a lower one is refused. */
  generation: number;
  phase: Phase;
  templateKey: string;
  /** Unix user and loopback address while it has a machine, see `slots.ts`; null while it sleeps. */
  slot: number | null;
  memoryMiB: number;
  allowInternetAccess: boolean;
  bootId?: string;
  /**
   * Nonce of the access token that the agent was told last, or will be told first; absent: of the token without one. While
   * the sandbox sleeps, or a step goes on, that of `view.spec` may be newer.
   */
  agentNonce?: string | undefined;
  /** Nonces of rotations that have not ended well, oldest first: the agent may have been told one of them instead. */
  agentMayKnow?: string[] | undefined;
  /** What it is started from while it sleeps. */
  image?: SavedImage;
  /** What the next pause builds on; null or absent: nothing, and then no image file but that of `image` is kept. */
  basis?: Basis | null;
  /** Row of the index; what get and list answer. */
  view: SandboxView;
}

/** The agent lets in who shows the token that is derived from this. */
export const agentTokenOwner = ({ id, agentNonce }: Pick<Manifest, 'id' | 'agentNonce'>): TokenOwner => ({
  id,
  tokenNonce: agentNonce,
});

/** All of them that the agent may let in, the likeliest first. */
export const possibleTokenOwners = ({ id, agentNonce, agentMayKnow = [] }: Manifest): TokenOwner[] =>
  [agentNonce, ...agentMayKnow].map((tokenNonce) => ({ id, tokenNonce }));

/** The newest sealed image of a sandbox, or what was sealed ahead of the next. While it runs nothing can be restored from it: only `image` counts for that. */
export interface Basis {
  generation: number;
  digest: string;
  /** Generations of all the files that it is made of. */
  files: number[];
}

/** Generations of the image files that a sandbox has to keep. */
export function keptImages({ image, basis }: Pick<Manifest, 'image' | 'basis'>): number[] {
  const current = image === undefined || image.kind === 'disk' ? [] : [image.generation];
  return [...new Set([...current, ...(basis?.files ?? [])])];
}

export type Phase =
  | { name: 'creating' }
  | { name: 'running' }
  /** Device state is being saved, or the memory sealed; the tmpfs files are the truth until the image is durable. */
  | { name: 'saving' }
  /** Told to shut down, for good: what is left to do is to wait, to end it by force, and to put it away. */
  | { name: 'stopping' }
  | { name: 'saved' }
  /** The machine is being restored; before `consumed` nothing has run on the image. */
  | { name: 'restoring'; consumed: boolean }
  /** Being booted from its disk; can be repeated from the start. */
  | { name: 'booting' }
  | { name: 'lost'; why: string };

const shape = z.looseObject({
  schema: z.literal(1),
  id: z.string(),
  generation: z.number().int(),
  phase: z.looseObject({ name: z.string() }),
  slot: z.number().int().nullable(),
});

/** A manifest's file says whose the sandbox is and what it may reach: only what this service wrote counts. */
export class UnsignedManifestError extends Error {}

/**
 * @param manifestsKey see `keys/manifest-mac.ts`
 * @throws UnsignedManifestError when the file has no authentication code; Error when it is not a manifest, or not as this
 *   service wrote it.
 */
export async function readManifest(paths: StatePaths, id: string, manifestsKey: Buffer): Promise<Manifest | undefined> {
  const file = paths.sandbox(id).manifest;
  const bytes = await readManifestBytes(paths, id);
  if (bytes === undefined) return undefined;
  const { manifest, mac } = parseManifest(file, id, bytes);
  if (mac === undefined) throw new UnsignedManifestError(`${file} has no authentication code. ${LEFT}`);
  if (typeof mac !== 'string' || !isMacOf(manifestsKey, { kind: 'manifest', id }, JSON.stringify(manifest), mac)) {
    throw new Error(`${file} is not as this service wrote it, or was written under another master key. ${LEFT}`);
  }
  return manifest;
}

/** @returns undefined when there is none. */
export const readManifestBytes = (paths: StatePaths, id: string): Promise<Buffer | undefined> =>
  readFile(paths.sandbox(id).manifest).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });

/** The authentication code is of the manifest as it was parsed, so that nothing counts that it does not cover. */
export function parseManifest(file: string, id: string, bytes: Buffer): { manifest: Manifest; mac: unknown } {
  let found: unknown;
  try {
    found = JSON.parse(bytes.toString());
  } catch {
    found = null;
  }
  const parsed = shape.safeParse(found);
  if (!parsed.success || parsed.data.id !== id) {
    throw new Error(`${file} is not a manifest that this version can read. ${LEFT}`);
  }
  const { mac, ...manifest } = found as Manifest & { mac?: unknown };
  return { manifest, mac };
}

const LEFT = 'It was left as it is; look at it by hand.';

export async function writeManifest(paths: StatePaths, manifest: Manifest, manifestsKey: Buffer): Promise<void> {
  const text = JSON.stringify(manifest);
  const mac = macOf(manifestsKey, { kind: 'manifest', id: manifest.id }, text);
  await writeDurably(paths.sandbox(manifest.id).manifest, JSON.stringify({ ...manifest, mac }));
}

/** Ids of all sandboxes that have a directory on this host. */
export async function listSandboxIds(paths: StatePaths): Promise<string[]> {
  const entries = await readdir(paths.sandboxes, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}
