import { realpath } from 'node:fs/promises';
import { readTable, type GuardTable } from '../guard/nft.js';
import { onHost } from '../guard/run.js';
import { readClaims } from '../host/slot-claims.js';
import { slotUid } from '../host/slots.js';
import { observeFiles } from './observe-files.js';
import { observeDomains, observeSecrets } from './observe-libvirt.js';
import { guestProcesses, runningProcesses } from './observe-processes.js';
import type { Observation, WorkflowFact } from './observation.js';

export interface Scope {
  stateDir: string;
  /** The master key's subkey `manifests`. */
  manifestsKey: Buffer;
  libvirtUri: string;
  slotsDirectory: string;
  /** Absent where machines have no network guard. */
  guardTable?: string;
  uidBase: number;
  domainPrefix: string;
  secretUuid: (id: string) => string;
  /** Read every sealed image as a whole, and compare it with what the workflow knows. */
  digests: boolean;
  /**
   * What Temporal says of this host's sandboxes, `ids` among them.
   * @throws when it does not answer: then nothing can be said.
   */
  workflows: (ids: string[]) => Promise<WorkflowFact[]>;
}

/**
 * Looks at everything once. Temporal first and last: files of a sandbox that was created meanwhile would look like
 * nobody's.
 */
export async function observe(scope: Scope): Promise<Observation> {
  const stateDir = await realpath(scope.stateDir);
  const at = Date.now();
  const known = new Set((await scope.workflows([])).map(({ id }) => id));
  const claims = (await readClaims(scope.slotsDirectory)).filter((claim) => claim.stateDir === scope.stateDir);
  const files = await observeFiles(scope);
  for (const { id } of [...files.sandboxes, ...files.memory]) known.add(id);
  for (const { sandbox } of claims) known.add(sandbox);
  const places = { stateDir, known, domainPrefix: scope.domainPrefix };
  const domains = await observeDomains(scope.libvirtUri, places);
  for (const { id } of domains) known.add(id);
  const processes = guestProcesses(await runningProcesses(), places);
  const secrets = await observeSecrets(scope.libvirtUri, { ...scope, known });
  const { guardTable } = scope;
  const table = guardTable === undefined ? undefined : await readTable(guardTable, onHost);
  const denied = table?.noInternet ?? [];
  for (const { id } of [...processes, ...secrets]) known.add(id);
  return {
    ...{ at, domains, processes, secrets, ...files },
    claims: claims.map(({ slot, sandbox }) => ({ slot, id: sandbox })),
    deniedSlots: claims.map(({ slot }) => slot).filter((slot) => denied.includes(slotUid(scope.uidBase, slot))),
    ...(guardTable === undefined ? {} : { guard: isEmpty(table) ? 'missing' : 'there' }),
    workflows: await scope.workflows([...known]),
  };
}

const isEmpty = (table: GuardTable | undefined): boolean => table === undefined || table.comment === '';
