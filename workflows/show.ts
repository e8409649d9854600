import { setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';
import { SandboxStatusAttribute } from './search-attributes.js';
import { expiresAt, type SandboxState } from './state.js';
import type { SavedImage } from './view.js';

/** What people see of a settled sandbox in Temporal's UI. */
export function show(state: SandboxState): void {
  setCurrentDetails(currentDetails(state));
  upsertSearchAttributes([{ key: SandboxStatusAttribute, value: state.status }]);
}

const keptOf = (image: SavedImage): string =>
  image.kind === 'disk'
    ? `its disk alone, since generation ${image.generation}: the next start is a boot`
    : `memory and disk; image of generation ${image.generation}, ${image.bytes} bytes`;

export function currentDetails(state: SandboxState): string {
  const at = (ms: number): string => new Date(ms).toISOString();
  const rows = [
    ['status', state.status],
    ['why', state.reason],
    ['wanted', state.desired],
    ['generation', String(state.generation)],
    state.status === 'paused'
      ? ['expires', at(expiresAt(state))]
      : [state.onTimeout === 'kill' ? 'killed at' : 'looked at for idleness at', at(state.endAt)],
    ...(state.image === null ? [] : [['kept', keptOf(state.image)]]),
    ...(state.lastError === null
      ? []
      : [['last error', `${state.lastError.code}: ${state.lastError.message} (${at(state.lastError.at)})`]]),
  ];
  return ['| | |', '|---|---|', ...rows.map(([name, value]) => `| ${name} | ${value!.replace(/[|\n]/g, ' ')} |`)].join(
    '\n',
  );
}
