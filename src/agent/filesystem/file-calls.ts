import { constants } from 'node:fs';
import { access, lstat, rename, stat } from 'node:fs/promises';
import path from 'node:path';
import { Code, ConnectError } from '@connectrpc/connect';
import { makeDirectories } from '../make-directories.js';
import { readNames, type User } from '../users.js';
import { entryInfo, type EntryInfoInit } from './entry-info.js';
import { listDirectory, type ListOptions } from './list-directory.js';
import { removeTree } from './remove-tree.js';

/** What clients ask of files, done here and now: `userFiles` decides in which process. */
export const fileCalls = {
  describe: async (file: string): Promise<EntryInfoInit> => entryInfo(file, await readNames()),

  async list(directory: string, depth: number, options: ListOptions = {}): Promise<EntryInfoInit[]> {
    const found = await stat(directory);
    if (!found.isDirectory()) throw new ConnectError(`'${directory}' is no directory`, Code.InvalidArgument);
    return listDirectory(directory, depth, options);
  },

  async makeDirectory(file: string, user: User): Promise<void> {
    const found = await stat(file).catch(() => undefined);
    if (found?.isDirectory()) throw new ConnectError(`'${file}' already exists`, Code.AlreadyExists);
    if (found !== undefined) throw new ConnectError(`'${file}' is no directory`, Code.InvalidArgument);
    await makeDirectories(file, user);
  },

  async move(source: string, destination: string, user: User): Promise<void> {
    await lstat(source);
    await makeDirectories(path.dirname(destination), user);
    await rename(source, destination);
  },

  remove: (file: string): Promise<void> => removeTree(file),

  isDirectory: (file: string): Promise<boolean> =>
    stat(file).then(
      (found) => found.isDirectory(),
      () => false,
    ),

  isExecutable: (file: string): Promise<boolean> =>
    access(file, constants.X_OK).then(
      () => true,
      () => false,
    ),
};
