import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { readManifest } from '../host/manifest.js';
import { StatePaths } from '../host/state-paths.js';
import { isCompleteSave } from '../libvirt/save-image-header.js';
import { digestOfImage } from '../sealing/image-digest.js';
import type { DirectoryFact, EntryFact, ManifestFact, MemoryFact, Observation } from './observation.js';

const SANDBOX_ID = /^[a-z0-9]{1,40}$/;

const manifestShape = z.object({
  generation: z.number(),
  phase: z.object({ name: z.string() }),
  slot: z.number().nullable(),
  allowInternetAccess: z.boolean(),
  image: z.object({ generation: z.number() }).optional(),
  basis: z.object({ generation: z.number(), files: z.array(z.number()) }).nullish(),
});

type FileFacts = Pick<Observation, 'sandboxes' | 'memory' | 'pool' | 'top' | 'misplaced'>;

export interface FilesToObserve {
  stateDir: string;
  /** The master key's subkey `manifests`: what is not authentic under it says nothing. */
  manifestsKey: Buffer;
  /** Tell the digest of every sealed image. */
  digests: boolean;
}

/** Files of the state directory, tmpfs included. */
export async function observeFiles({ stateDir, manifestsKey, digests }: FilesToObserve): Promise<FileFacts> {
  const paths = new StatePaths(stateDir);
  const onDisk = await entries(paths.sandboxes);
  const notOfSandboxes = [paths.memoryPool, paths.discarded].map((directory) => path.basename(directory));
  const inMemory = (await entries(paths.memory)).filter(({ name }) => !notOfSandboxes.includes(name));
  const ids = new Set(inMemory.map(({ name }) => name.replace(/\.state$/, '')).filter((name) => SANDBOX_ID.test(name)));
  return {
    sandboxes: await Promise.all(
      onDisk
        .filter(({ name }) => SANDBOX_ID.test(name))
        .map((entry) => directoryFact(paths, entry, { manifestsKey, digests })),
    ),
    memory: await Promise.all([...ids].map((id) => memoryFact(paths, id))),
    pool: await entries(paths.overlayPool),
    top: await entries(stateDir),
    misplaced: [
      ...onDisk
        .filter(({ name }) => !SANDBOX_ID.test(name))
        .map((entry) => ({ ...entry, where: 'sandboxes' as const })),
      ...inMemory
        .filter(({ name }) => !SANDBOX_ID.test(name.replace(/\.state$/, '')))
        .map((entry) => ({ ...entry, where: 'memory' as const })),
    ],
  };
}

async function directoryFact(
  paths: StatePaths,
  { name: id }: EntryFact,
  { manifestsKey, digests }: Pick<FilesToObserve, 'manifestsKey' | 'digests'>,
): Promise<DirectoryFact> {
  const { directory, overlay } = paths.sandbox(id);
  const inside = await entries(directory);
  const images = digests ? inside.filter(({ name }) => /^image-\d+\.sealed$/.test(name)) : [];
  const hashes = await Promise.all(
    images.map(
      async ({ name }) => [name, await digestOfImage(path.join(directory, name)).catch(goneMeanwhile)] as const,
    ),
  );
  return {
    ...{ id, name: id, files: inside.map(({ name }) => name) },
    // Metrics, log and disk go on for as long as there is a machine, whoever it belongs to.
    changedAt: Math.max(
      ...inside
        .filter(({ name }) => !name.endsWith('.jsonl') && name !== path.basename(overlay))
        .map((entry) => entry.changedAt),
      await changedAt(directory),
    ),
    ...(await manifestFacts(paths, id, manifestsKey)),
    ...(digests ? { digests: Object.fromEntries(hashes.filter(isThere)) } : {}),
  };
}

function goneMeanwhile(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
const isThere = (entry: readonly [string, string | undefined]): entry is readonly [string, string] =>
  entry[1] !== undefined;

async function manifestFacts(
  paths: StatePaths,
  id: string,
  manifestsKey: Buffer,
): Promise<Pick<DirectoryFact, 'manifest' | 'damage'>> {
  try {
    const found = await readManifest(paths, id, manifestsKey);
    return found === undefined ? {} : { manifest: manifestFact(manifestShape.parse(found)) };
  } catch (error) {
    return { damage: error instanceof Error ? error.message : String(error) };
  }
}

const manifestFact = (found: z.infer<typeof manifestShape>): ManifestFact => ({
  ...{ generation: found.generation, phase: found.phase.name, slot: found.slot },
  allowInternetAccess: found.allowInternetAccess,
  ...(found.image === undefined ? {} : { image: found.image }),
  ...(found.basis ? { basis: found.basis } : {}),
});

async function memoryFact(paths: StatePaths, id: string): Promise<MemoryFact> {
  const { memoryDirectory, deviceStateDirectory, deviceState } = paths.sandbox(id);
  const [memory, state] = await Promise.all([entries(memoryDirectory), entries(deviceStateDirectory)]);
  return {
    ...{ id, name: id },
    // The memory file itself changes with every store of the guest; its directory does not.
    changedAt: Math.max(await changedAt(memoryDirectory), await changedAt(deviceStateDirectory)),
    files: [...memory.map(({ name }) => name), ...state.map(({ name }) => `state/${name}`)],
    completeSave: await isCompleteSave(deviceState),
  };
}

/** An absent directory has no entries; what disappears meanwhile is left out. */
async function entries(directory: string): Promise<EntryFact[]> {
  const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return Promise.all(
    names.sort().map(async (name) => ({ name, changedAt: await changedAt(path.join(directory, name)) })),
  );
}

const changedAt = (file: string): Promise<number> =>
  stat(file).then(
    ({ mtimeMs, ctimeMs }) => Math.max(mtimeMs, ctimeMs),
    () => 0,
  );
