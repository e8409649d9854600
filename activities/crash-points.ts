/**
 * Named moments before and after every effect of the host's verbs. A test can end the host worker at each of them
 * (`DORMOUSE_CRASH_POINTS_FILE`); in production reaching one does nothing. The crash matrix enumerates this table.
 */
export const CRASH_POINTS = [
  'create.begun',
  'create.slot-claimed',
  'create.recorded',
  'create.overlay-claimed',
  'create.key-written',
  'create.memory-made',
  'create.disk-ready',
  'create.network-ready',
  'create.restored',
  'create.ran',
  'create.agent-ready',
  'create.settled',
  'create.clearing',
  'create.machine-cleared',
  'create.workspace-cleared',
  'create.files-cleared',
  'pause.begun',
  'pause.marked',
  'pause.saved',
  'pause.sealed',
  'pause.recorded',
  'pause.older-images-removed',
  'pause.machine-gone',
  'pause.workspace-cleared',
  'rollback.begun',
  'rollback.restored',
  'rollback.device-state-removed',
  'rollback.ran',
  'rollback.agent-ready',
  'rollback.settled',
  'resume.begun',
  'resume.cleared',
  'resume.slot-claimed',
  'resume.marked',
  'resume.disk-ready',
  'resume.network-ready',
  'resume.opened',
  'resume.restored',
  'resume.consumed',
  'resume.ran',
  'resume.agent-ready',
  'resume.settled',
  'resume.image-removed',
  'resume.undoing',
  'resume.undone',
  'save-again.begun',
  'save-again.marked',
  'save-again.saved',
  'save-again.sealed',
  'save-again.recorded',
  'save-again.cleared',
  'destroy.begun',
  'destroy.marked',
  'destroy.machine-gone',
  'destroy.key-removed',
  'destroy.workspace-cleared',
  'destroy.files-removed',
] as const;

/** Those of a pause that keeps the disk alone: played on a host without machines, since every case takes a boot. */
export const DISK_ONLY_POINTS = [
  'shut-down.begun',
  'shut-down.marked',
  'shut-down.powered-off',
  'shut-down.recorded',
  'boot.begun',
  'boot.cleared',
  'boot.slot-claimed',
  'boot.marked',
  'boot.workspace-ready',
  'boot.started',
  'boot.agent-ready',
  'boot.settled',
] as const;

/** Those of sealing memory before a pause: in no step, but while the sandbox runs. */
export const AHEAD_POINTS = ['ahead.begun', 'ahead.sealed', 'ahead.recorded', 'ahead.older-images-removed'] as const;

/** Those of a create that takes a warm machine; played on a host without machines, too. */
export const WARM_POINTS = [
  'assign.begun',
  'assign.recorded',
  'assign.network-ready',
  'assign.agent-ready',
  'assign.settled',
] as const;

/** Those of a rotation of tokens; played on a host without machines, too. */
export const ROTATE_POINTS = ['rotate.begun', 'rotate.noted', 'rotate.agent-told', 'rotate.recorded'] as const;

/** Every point there is: the crash matrix has to try each. */
export const ALL_POINTS = [
  ...CRASH_POINTS,
  ...DISK_ONLY_POINTS,
  ...AHEAD_POINTS,
  ...WARM_POINTS,
  ...ROTATE_POINTS,
] as const;

export type CrashPoint = (typeof ALL_POINTS)[number];

/** Called at a named moment. @throws Error where a test wants the step to fail there. */
export type Reached = (point: CrashPoint) => void;
