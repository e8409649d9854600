import { randomBytes } from 'node:crypto';

/** Name of an upload that is not complete; watchers do not speak of it. Says whether it is to replace a file. */
export const draftName = (replaces: boolean): string =>
  `.upload-${replaces ? 'over' : 'new'}-${randomBytes(8).toString('hex')}`;

export const isDraftName = (name: string): boolean => /^\.upload-(over|new)-[0-9a-f]{16}$/.test(name);

export const replacesFile = (draft: string): boolean => draft.startsWith('.upload-over-');
