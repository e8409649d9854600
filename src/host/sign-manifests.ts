import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { writeDurably } from '../durable-file.js';
import { isMacOf, macOf } from '../keys/manifest-mac.js';
import type { Logger } from '../log.js';
import { listSandboxIds, parseManifest, readManifestBytes, writeManifest } from './manifest.js';
import type { StatePaths } from './state-paths.js';

/**
 * Manifests of the versions before had no authentication code. They are signed once: at the first start of this version
 * on a state directory. An authenticated record says that this has been done; from then on a manifest without a code is
 * refused, so that nobody gets a changed one taken by stripping its code.
 *
 * While it goes on, the record holds the digest of each manifest that is still to be signed: what is put in its place
 * meanwhile, or put back later together with that record, is not signed.
 */
type Progress =
  /** By id: SHA-256 of the bytes of its unsigned manifest. */
  { state: 'begun'; unsigned: Record<string, string> } | { state: 'done' };

const RECORD = 'manifests-signed.json';

/** Every start waits for all of them, and each for the disk: at once they share what it takes. */
const AT_ONCE = 32;

const recordShape = z.object({ text: z.string(), mac: z.string() });
const progressShape = z.discriminatedUnion('state', [
  z.object({ state: z.literal('begun'), unsigned: z.record(z.string(), z.string()) }),
  z.object({ state: z.literal('done') }),
]);

const MAC = { kind: 'manifests-are-signed' } as const;

export interface SigningOptions {
  manifestsKey: Buffer;
  /**
   * The record's files. The first must be writable. The others are copies, for places where somebody who can change the
   * state directory cannot remove them; whichever says most counts.
   */
  records: readonly [string, ...string[]];
  log: Logger;
  write?: typeof writeManifest;
}

/** In the state directory, and beside the master key where that has a place of its own. */
export function signingRecords(stateDir: string, masterKeyFile: string): [string, ...string[]] {
  const first = path.join(stateDir, RECORD);
  if (path.resolve(path.dirname(masterKeyFile)) === path.resolve(stateDir)) return [first];
  const which = createHash('sha256').update(path.resolve(stateDir)).digest('hex').slice(0, 16);
  return [first, `${masterKeyFile}.${which}.${RECORD}`];
}

/** Call it before the index is loaded. Repeating is fine, also after it was interrupted. */
export async function signEarlierManifests(paths: StatePaths, options: SigningOptions): Promise<void> {
  const { log } = options;
  const known = await readProgress(options);
  if (known?.state === 'done') return record(options, known);
  const begun = known ?? (await begin(paths, options));
  await record(options, begun);
  if (begun.state === 'done') return;
  const unsigned = Object.entries(begun.unsigned);
  if (unsigned.length > 0) log.warn({ sandboxes: unsigned.length }, 'signing the manifests of an earlier version');
  for (let at = 0; at < unsigned.length; at += AT_ONCE) await signAll(paths, options, unsigned.slice(at, at + AT_ONCE));
  await record(options, { state: 'done' });
  if (unsigned.length > 0) log.warn({ sandboxes: unsigned.length }, 'signed the manifests of an earlier version');
}

/** @throws the first error, once none is being written any more */
async function signAll(
  paths: StatePaths,
  { manifestsKey, write = writeManifest }: SigningOptions,
  some: [id: string, digest: string][],
): Promise<void> {
  const sign = async ([id, digest]: [string, string]): Promise<void> => {
    const bytes = await readManifestBytes(paths, id);
    // Signed by an attempt that was interrupted, or gone since: the index says what it is now.
    if (bytes === undefined || sha256(bytes) !== digest) return;
    await write(paths, parseManifest(paths.sandbox(id).manifest, id, bytes).manifest, manifestsKey);
  };
  for (const outcome of await Promise.allSettled(some.map(sign))) {
    if (outcome.status === 'rejected') throw outcome.reason;
  }
}

/** Without a record: this is the first start of this version, unless there is a manifest that only this version writes. */
async function begin(paths: StatePaths, { log }: SigningOptions): Promise<Progress> {
  const unsigned: Record<string, string> = {};
  let signed = 0;
  for (const id of await listSandboxIds(paths)) {
    const bytes = await readManifestBytes(paths, id);
    if (bytes === undefined) continue;
    try {
      if (parseManifest(paths.sandbox(id).manifest, id, bytes).mac === undefined) unsigned[id] = sha256(bytes);
      else signed += 1;
    } catch {
      // The index says that it cannot be read.
    }
  }
  if (signed === 0) return { state: 'begun', unsigned };
  const refused = Object.keys(unsigned);
  const what =
    'there are signed manifests and no record of the first start: the record was removed. Unsigned manifests are refused.';
  log.error({ signed, refused }, what);
  return { state: 'done' };
}

async function readProgress({ records, manifestsKey, log }: SigningOptions): Promise<Progress | undefined> {
  const found = await Promise.all(
    records.map(async (file) => {
      const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined;
        throw error;
      });
      if (text === undefined) return undefined;
      const progress = progressOf(text, manifestsKey);
      if (progress !== undefined) return progress;
      log.error({ file }, 'the record of signed manifests is not authentic: unsigned manifests are refused');
      return { state: 'done' } as const;
    }),
  );
  return found.find((one) => one?.state === 'done') ?? found.find((one) => one !== undefined);
}

function progressOf(text: string, manifestsKey: Buffer): Progress | undefined {
  const record = recordShape.safeParse(jsonOf(text));
  if (!record.success || !isMacOf(manifestsKey, MAC, record.data.text, record.data.mac)) return undefined;
  const progress = progressShape.safeParse(jsonOf(record.data.text));
  return progress.success ? progress.data : undefined;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function record({ records, manifestsKey, log }: SigningOptions, progress: Progress): Promise<void> {
  const text = JSON.stringify(progress);
  const content = `${JSON.stringify({ text, mac: macOf(manifestsKey, MAC, text) })}\n`;
  const [first, ...copies] = records;
  for (const copy of copies) {
    if (await holds(copy, content)) continue;
    await writeDurably(copy, content).catch((error: unknown) => {
      log.warn({ file: copy, err: error }, 'a copy of the record of signed manifests could not be written');
    });
  }
  if (!(await holds(first, content))) await writeDurably(first, content);
}

const holds = async (file: string, content: string): Promise<boolean> =>
  (await readFile(file, 'utf8').catch(() => undefined)) === content;

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
