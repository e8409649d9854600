import { randomBytes } from 'node:crypto';

/** Name of an upload that is not complete; watchers do not speak of it. */
export const draftName = (): string => `.upload-${randomBytes(8).toString('hex')}`;

export const isDraftName = (name: string): boolean => /^\.upload-[0-9a-f]{16}$/.test(name);
