import { setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';
import { SandboxStatusAttribute, SandboxTemplateAttribute, SandboxTenantAttribute } from './search-attributes.js';
import { expiresAt, type SandboxState } from './state.js';
import type { SavedImage } from './view.js';

/** What people see of a settled sandbox in Temporal's UI. */
export function show(state: SandboxState): void {
  setCurrentDetails(currentDetails(state));
  const status = isWaiting(state) ? 'warm' : state.status;
  upsertSearchAttributes([
    { key: SandboxStatusAttribute, value: status },
    ...(state.takenOver === true ? ofOwner(state) : []),
  ]);
}

/** A warm machine starts without these. */
const ofOwner = ({ spec }: SandboxState) => [
  { key: SandboxTenantAttribute, value: spec.tenant },
  { key: SandboxTemplateAttribute, value: spec.templateId },
];

const isWaiting = ({ spec, status }: SandboxState): boolean => spec.warm === true && status === 'running';

const keptOf = (image: SavedImage): string =>
  image.kind === 'disk'
    ? `its disk alone, since generation ${image.generation}: the next start is a boot`
    : `memory and disk; image of generation ${image.generation}, ${image.bytes} bytes`;

const at = (ms: number): string => new Date(ms).toISOString();

const deadlineOf = (state: SandboxState): [string, string] =>
  state.status === 'paused'
    ? ['expires', at(expiresAt(state))]
    : [state.onTimeout === 'kill' ? 'killed at' : 'looked at for idleness at', at(state.endAt)];

export function currentDetails(state: SandboxState): string {
  const rows = [
    ['status', state.status],
    ['why', state.reason],
    ['wanted', state.desired],
    ['generation', String(state.generation)],
    state.spec.warm === true ? ['waits for', 'a create that takes it'] : deadlineOf(state),
    ...(state.takenOver === true
      ? [['taken from the warm pool', `by ${state.spec.tenant}, ${at(state.startedAt)}`]]
      : []),
    ...(state.image === null ? [] : [['kept', keptOf(state.image)]]),
    ...(state.lastError === null
      ? []
      : [['last error', `${state.lastError.code}: ${state.lastError.message} (${at(state.lastError.at)})`]]),
  ];
  return ['| | |', '|---|---|', ...rows.map(([name, value]) => `| ${name} | ${value!.replace(/[|\n]/g, ' ')} |`)].join(
    '\n',
  );
}
