import { virsh } from '../libvirt/virsh.js';
import { listSecrets } from '../libvirt/secrets.js';
import type { DomainFact, Observation } from './observation.js';

/** Domains of the machine whose name says that they are Dormouse's: of this state directory, if `known` or by their XML. */
export async function observeDomains(
  uri: string,
  options: { stateDir: string; domainPrefix: string; known: ReadonlySet<string> },
): Promise<DomainFact[]> {
  const listed = parseDomainList(await virsh(uri, ['-q', 'list', '--all']));
  const found: DomainFact[] = [];
  for (const { name, state } of listed) {
    if (!name.startsWith(options.domainPrefix)) continue;
    const id = name.slice(options.domainPrefix.length);
    const ours =
      options.known.has(id) ||
      (await virsh(uri, ['dumpxml', name], { absentIsFine: true })).includes(`${options.stateDir}/`);
    if (ours) found.push({ name, id, state });
  }
  return found;
}

/** Output of `virsh -q list --all`: id, name, state, pure. */
export const parseDomainList = (text: string): { name: string; state: string }[] =>
  text.split('\n').flatMap((line) => {
    const [, name, state] = /^\s*\S+\s+(\S+)\s+(.+?)\s*$/.exec(line) ?? [];
    return name === undefined || state === undefined ? [] : [{ name, state }];
  });

/** Secrets of this state directory's sandboxes: by their derived uuid, or by what their description says. */
export async function observeSecrets(
  uri: string,
  options: { stateDir: string; known: ReadonlySet<string>; secretUuid: (id: string) => string },
): Promise<Observation['secrets']> {
  const byUuid = new Map([...options.known].map((id) => [options.secretUuid(id), id]));
  const found: Observation['secrets'] = [];
  for (const uuid of await listSecrets(uri)) {
    const id = byUuid.get(uuid) ?? ownerIn(await virsh(uri, ['secret-dumpxml', uuid], { absentIsFine: true }), options);
    if (id !== undefined) found.push({ uuid, id });
  }
  return found;
}

const ownerIn = (xml: string, { stateDir }: { stateDir: string }): string | undefined => {
  const [, id, directory] = /disk of sandbox ([a-z0-9]+) in ([^<]+)</.exec(xml) ?? [];
  return directory === stateDir ? id : undefined;
};
