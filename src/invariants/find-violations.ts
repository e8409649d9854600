import type { DirectoryFact, MemoryFact, Observation, WorkflowFact } from './observation.js';
import type { Violation } from './violation.js';

/** Everything that one sandbox has, gathered from all parts of an observation. */
export interface SandboxFacts {
  id: string;
  workflow: WorkflowFact | undefined;
  directory: DirectoryFact | undefined;
  memory: MemoryFact | undefined;
  domains: Observation['domains'];
  processes: Observation['processes'];
  secrets: Observation['secrets'];
  claims: Observation['claims'];
}

/** How long a step may take before something is wrong with it, ms. */
export const STEP_BOUND_MS = { creating: 300_000, pausing: 300_000, resuming: 300_000, killing: 120_000 } as const;

// A host with another state directory and the same master key keeps a copy of its signing record beside that key.
const TOP_LEVEL =
  /^(sandboxes|memory|overlays|logs|temporal\.db(-wal|-shm|-journal)?|temporal-namespace|master\.key(\.[0-9a-f]{16}\.manifests-signed\.json)?|api-keys\.json|tenants\.json|operator\.key|manifests-signed\.json|host\.lock|tls|lost\+found)$/;
const SANDBOX_FILE = /^(manifest\.json|key\.wrapped|overlay\.qcow2|metrics\.jsonl|log\.jsonl|image-\d+\.sealed)$/;
const IMAGE = /^image-\d+\.sealed$/;
const IMAGE_DRAFT = /^image-\d+\.sealed\.[0-9a-f]{16}\.tmp$/;
/** While a draft is not older than this, it may be one that is being written, for as long as that takes. */
const WRITTEN_WITHIN_MS = 10_000;
const generationOf = (image: string): number => Number(/\d+/.exec(image)?.[0]);
const POOL_ENTRY = /^[a-z0-9]{8,64}\.[0-9a-f]+$/;

const imageNames = (generations: readonly number[] = []): string[] =>
  generations.map((generation) => `image-${generation}.sealed`);

/** The comparison, pure. */
export function findViolations(seen: Observation): Violation[] {
  const ids = new Set([
    ...seen.workflows.filter(({ run }) => run === 'open').map(({ id }) => id),
    ...seen.domains.map(({ id }) => id),
    ...seen.processes.map(({ id }) => id),
    ...seen.sandboxes.map(({ id }) => id),
    ...seen.memory.map(({ id }) => id),
    ...seen.secrets.map(({ id }) => id),
    ...seen.claims.map(({ id }) => id),
  ]);
  const factsOf = factsIn(seen);
  return [...[...ids].sort().flatMap((id) => ofSandbox(factsOf(id), seen)), ...ofNobody(seen), ...unguarded(seen)];
}

/** Sorted by sandbox once: a host may have tens of thousands. */
function factsIn(seen: Observation): (id: string) => SandboxFacts {
  const workflows = byId(seen.workflows);
  const directories = byId(seen.sandboxes);
  const memory = byId(seen.memory);
  const [domains, processes] = [byId(seen.domains), byId(seen.processes)];
  const [secrets, claims] = [byId(seen.secrets), byId(seen.claims)];
  return (id) => ({
    id,
    workflow: workflows(id)[0],
    directory: directories(id)[0],
    memory: memory(id)[0],
    domains: domains(id),
    processes: processes(id),
    secrets: secrets(id),
    claims: claims(id),
  });
}

function byId<T extends { id: string }>(items: T[]): (id: string) => T[] {
  const found = new Map<string, T[]>();
  for (const item of items) {
    const his = found.get(item.id);
    if (his === undefined) found.set(item.id, [item]);
    else his.push(item);
  }
  return (id) => found.get(id) ?? [];
}

function ofSandbox(facts: SandboxFacts, seen: Observation): Violation[] {
  const { workflow } = facts;
  if (facts.directory?.damage !== undefined) return [...twice(facts), damaged(facts, facts.directory.damage)];
  if (workflow === undefined || workflow.run !== 'open') return afterItsEnd(facts);
  const found = [...twice(facts), ...strangers(facts, seen.at)];
  const status = workflow.view?.status;
  if (status === undefined) return [...found, ...aroundSleeping(facts)];
  if (status === 'running') return [...found, ...whileRunning(facts, seen)];
  if (status === 'paused') return [...found, ...whilePaused(facts), ...aroundSleeping(facts)];
  return [...found, ...inBetween(workflow, status, seen.at)];
}

/** Invariant 4. */
function afterItsEnd({ id, workflow, ...left }: SandboxFacts): Violation[] {
  const parts = [
    ...left.domains.map(({ name }) => `domain ${name}`),
    ...left.processes.map(({ kind, pid }) => `${kind} process ${pid}`),
    ...left.secrets.map(({ uuid }) => `libvirt secret ${uuid}`),
    ...(left.directory?.files.includes('key.wrapped') === true ? ['its wrapped key'] : []),
    ...(left.directory === undefined ? [] : ['its directory']),
    ...(left.memory === undefined ? [] : ['its memory']),
    ...left.claims.map(({ slot }) => `the claim of slot ${slot}`),
  ];
  if (parts.length === 0) return [];
  const why = workflow?.run === 'ended' ? 'its workflow has ended' : 'Temporal does not know its workflow';
  return [
    {
      ...{ invariant: 4, sandbox: id, what: `sandbox ${id}: ${why}, and there is still ${parts.join(', ')}` },
      todo: 'the reaper of the host worker removes it; if it does not, its log says why',
      repair: { kind: 'destroy', id },
    },
  ];
}

/**
 * Invariant 9. Nothing is concluded from what else there is of the sandbox, and nothing is repaired: that may be all that
 * is left of it, and a good manifest may be put back.
 */
function damaged({ id, workflow }: SandboxFacts, damage: string): Violation {
  const isOpen = workflow?.run === 'open';
  const why = workflow?.run === 'ended' ? 'its workflow has ended' : 'Temporal does not know its workflow';
  return {
    ...{ invariant: 9, sandbox: id, what: `sandbox ${id}: ${damage}` },
    todo: isOpen
      ? 'the reaper touches nothing of it. If every manifest is reported, look at the master key. If a newer version was installed and has not run yet, start the host worker. Otherwise bring the manifest back from where you keep copies and start the host worker again, or kill the sandbox'
      : `the reaper touches nothing of it, though ${why}. If every manifest is reported, look at the master key. If the sandbox is not needed, remove its manifest: the reaper then removes the rest`,
  };
}

/** Invariant 2. */
function twice({ id, domains, processes }: SandboxFacts): Violation[] {
  const machines = processes.filter(({ kind }) => kind === 'qemu');
  if (domains.length < 2 && machines.length < 2) return [];
  const which = [...domains.map(({ name }) => name), ...machines.map(({ pid }) => `process ${pid}`)].join(', ');
  return [
    {
      ...{ invariant: 2, sandbox: id, what: `sandbox ${id} has more than one machine: ${which}` },
      todo: `its disk may be damaged. Kill the sandbox; keep ${id} from being used until then`,
    },
  ];
}

/** Processes without a domain, and files that have no business in the sandbox's directory. */
function strangers({ id, domains, processes, directory }: SandboxFacts, now: number): Violation[] {
  const isBeingWritten = (name: string): boolean =>
    IMAGE_DRAFT.test(name) && now - (directory?.changedAt ?? 0) < WRITTEN_WITHIN_MS;
  const unowned = domains.length > 0 ? [] : processes;
  return [
    ...unowned.map(({ kind, pid }): Violation => ({
      ...{ invariant: 1, sandbox: id, what: `sandbox ${id}: ${kind} process ${pid} runs without a domain of libvirt` },
      todo: `end it: kill -9 ${pid}`,
      repair: { kind: 'kill-process', id, pid },
    })),
    ...(directory?.files ?? [])
      .filter((name) => !SANDBOX_FILE.test(name) && !isBeingWritten(name))
      .map((name): Violation => ({
        ...{ invariant: 7, sandbox: id, what: `sandbox ${id}: the file ${name} is no part of it` },
        todo: 'left by a crash in the middle of a write; the reaper removes it',
        ...(name.endsWith('.tmp') ? { repair: { kind: 'remove-file', id, name } as const } : {}),
      })),
  ];
}

function whileRunning(facts: SandboxFacts, seen: Observation): Violation[] {
  const { id, domains, directory, memory, claims } = facts;
  const found: Violation[] = [];
  const say = (invariant: Violation['invariant'], what: string, todo: string): void => {
    found.push({ invariant, sandbox: id, what: `sandbox ${id} runs, and ${what}`, todo });
  };
  const kill = 'the host worker ends it within seconds; if it does not, kill the sandbox';
  if (domains.length === 0) say(1, 'has no machine', kill);
  const letRun = 'the host worker lets it run again within seconds; if it does not, look for room on the disk';
  for (const { state } of domains) if (state !== 'running') say(1, `its machine is "${state}"`, letRun);
  if (directory?.manifest === undefined) say(7, 'has no manifest', 'kill it; nothing can be paused without one');
  else if (directory.manifest.phase !== 'running')
    say(5, `its manifest says "${directory.manifest.phase}"`, 'pause or kill it; look into its workflow');
  const kept = imageNames(directory?.manifest?.basis?.files);
  for (const name of directory?.files ?? [])
    if (IMAGE.test(name) && !kept.includes(name))
      found.push({
        ...{ invariant: 6, sandbox: id, what: `sandbox ${id} runs, and its dead image ${name} is still there` },
        todo: 'the reaper removes it',
        ...(directory?.manifest?.phase === 'running' ? { repair: { kind: 'remove-file', id, name } as const } : {}),
      });
  if (memory?.completeSave === true) say(6, 'device state from before is still there', 'remove it, then pause it anew');
  if (claims.length !== 1 || claims[0]?.slot !== directory?.manifest?.slot)
    say(
      2,
      `its slot ${directory?.manifest?.slot ?? 'none'} is not the one it claims (${claims.map(({ slot }) => slot).join(', ') || 'none'})`,
      'kill it',
    );
  const denied = claims.some(({ slot }) => seen.deniedSlots.includes(slot));
  if (claims.length === 1 && directory?.manifest !== undefined && denied === directory.manifest.allowInternetAccess)
    say(1, denied ? 'is cut off from the internet' : 'is not cut off from the internet', 'pause it and connect again');
  return found;
}

/** Invariant 3. */
function whilePaused({ id, workflow, directory }: SandboxFacts): Violation[] {
  const image = workflow?.view?.image;
  const broken = (what: string): Violation[] => [
    {
      ...{ invariant: 3, sandbox: id, what: `sandbox ${id} is paused, and ${what}` },
      todo: 'it cannot be resumed; it is kept until its expiry. Bring its files back from where you keep copies, or kill it',
    },
  ];
  if (image === undefined) return broken('its workflow knows no image');
  const name = `image-${image.generation}.sealed`;
  const there = directory?.files ?? [];
  const { basis } = directory?.manifest ?? {};
  const files = basis?.generation === image.generation ? imageNames(basis.files) : [name];
  const needs = ['manifest.json', 'key.wrapped', 'overlay.qcow2', ...(image.kind === 'disk' ? [] : files)];
  for (const needed of needs) if (!there.includes(needed)) return broken(`${needed} is missing`);
  if (directory?.manifest?.image?.generation !== image.generation) return broken('its manifest names another image');
  const digest = directory.digests?.[name];
  if (image.kind !== 'disk' && digest !== undefined && digest !== image.digest)
    return broken(`${name} is not what was saved`);
  return [];
}

/** What a sandbox that sleeps, by its manifest, must not have; true whatever its workflow is doing. */
function aroundSleeping(facts: SandboxFacts): Violation[] {
  const { id, directory, workflow } = facts;
  if (directory?.manifest?.phase !== 'saved') {
    if (workflow?.view?.status !== 'paused') return [];
    return directory?.manifest === undefined || directory.manifest.phase === 'lost'
      ? []
      : [
          {
            ...{ invariant: 5, sandbox: id },
            what: `sandbox ${id} is paused, and its manifest says "${directory.manifest.phase}"`,
            todo: 'look into its workflow; connect or kill it',
          },
        ];
  }
  const left = [
    ...facts.domains.map(({ name }) => `domain ${name}`),
    ...facts.secrets.map(({ uuid }) => `libvirt secret ${uuid}`),
    ...(facts.memory === undefined ? [] : ['its memory']),
    ...facts.claims.map(({ slot }) => `the claim of slot ${slot}`),
  ];
  const { image, basis } = directory.manifest;
  const kept = imageNames([...(image ? [image.generation] : []), ...(basis?.files ?? [])]);
  const others = directory.files.filter((name) => IMAGE.test(name) && !kept.includes(name));
  return [
    ...(left.length === 0
      ? []
      : [
          {
            ...{ invariant: facts.domains.length > 0 ? 1 : 7, sandbox: id },
            what: `sandbox ${id} is paused, and there is still ${left.join(', ')}`,
            todo: 'the reaper gives it back; if it does not, its log says why',
            repair: { kind: 'clear-workspace', id },
          } satisfies Violation,
        ]),
    ...others.map((name): Violation =>
      image !== undefined && generationOf(name) > image.generation
        ? {
            ...{ invariant: 6, sandbox: id, what: `sandbox ${id} is paused, and ${name} is newer than its manifest` },
            todo: 'the manifest was put back: bring the newest one back, or kill the sandbox; nothing removes the image',
          }
        : {
            ...{
              invariant: 6,
              sandbox: id,
              what: `sandbox ${id} is paused, and ${name}, an older image, is still there`,
            },
            todo: 'the reaper removes it',
            repair: { kind: 'remove-file', id, name },
          },
    ),
  ];
}

/** Invariant 5. */
function inBetween(workflow: WorkflowFact, status: string, now: number): Violation[] {
  const bound = STEP_BOUND_MS[status as keyof typeof STEP_BOUND_MS] ?? 0;
  const since = workflow.stepSince;
  if (since === undefined || now - since <= bound) return [];
  return [
    {
      ...{ invariant: 5, sandbox: workflow.id },
      what: `sandbox ${workflow.id} is ${status} for more than ${bound / 1000} s`,
      todo: `Temporal's UI shows the attempts and the last failure of workflow sandbox-${workflow.id}; kill ends it`,
    },
  ];
}

/** Invariant 8. */
function unguarded({ guard, domains, processes }: Observation): Violation[] {
  if (guard !== 'missing' || domains.length + processes.length === 0) return [];
  return [
    {
      ...{ invariant: 8, what: 'guests run, and the network guard is not there' },
      todo: 'the host worker puts it in place at once; if it does not, its log says why, and guests have no network',
    },
  ];
}

/** Invariant 7, for what names no sandbox. */
function ofNobody({ pool, top, misplaced }: Observation): Violation[] {
  const strange = (what: string, repair?: Violation['repair']): Violation => ({
    ...{ invariant: 7, what },
    todo: repair === undefined ? 'nothing of Dormouse made it; move it away' : 'the reaper removes it',
    ...(repair === undefined ? {} : { repair }),
  });
  return [
    ...pool
      .filter(({ name }) => !POOL_ENTRY.test(name))
      .map(({ name }) =>
        /^(claimed|draft)-/.test(name)
          ? strange(`the overlay ${name} is half-made`, { kind: 'remove-pool-entry', name })
          : strange(`${name} among the overlays is nobody's`),
      ),
    ...top
      .filter(({ name }) => !TOP_LEVEL.test(name))
      .map(({ name }) => strange(`${name} in the state directory is nobody's`)),
    ...misplaced.map(({ name, where }) =>
      strange(
        `${name} among the ${where === 'memory' ? 'memory of guests' : 'sandboxes'} is no sandbox's`,
        where === 'memory' ? { kind: 'remove-memory', name } : undefined,
      ),
    ),
  ];
}
