import { lstat, rename, stat } from 'node:fs/promises';
import path from 'node:path';
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import type { Filesystem } from '../../gen/filesystem/filesystem_pb.js';
import type { AgentState } from '../agent-state.js';
import { makeDirectories } from '../make-directories.js';
import { requestUser } from '../request-user.js';
import { resolvePath } from '../resolve-path.js';
import { entryInfo } from './entry-info.js';
import { listDirectory } from './list-directory.js';
import { removeTree } from './remove-tree.js';
import { filesystemCall } from './to-connect-error.js';
import { watchService } from './watch/watch-service.js';

export function filesystemService(state: AgentState): ServiceImpl<typeof Filesystem> {
  const located = async (given: string, context: HandlerContext) => {
    const user = await requestUser(context.requestHeader, state);
    return { user, file: resolvePath(given, user.home) };
  };
  return {
    ...watchService(async (given, context) => (await located(given, context)).file),

    stat: (request, context) =>
      filesystemCall(async () => {
        const { file } = await located(request.path, context);
        return { entry: await entryInfo(file) };
      }),

    makeDir: (request, context) =>
      filesystemCall(async () => {
        const { user, file } = await located(request.path, context);
        const found = await stat(file).catch(() => undefined);
        if (found?.isDirectory()) throw new ConnectError(`'${file}' already exists`, Code.AlreadyExists);
        if (found !== undefined) throw new ConnectError(`'${file}' is no directory`, Code.InvalidArgument);
        await makeDirectories(file, user);
        return { entry: await entryInfo(file) };
      }),

    move: (request, context) =>
      filesystemCall(async () => {
        const { user, file: source } = await located(request.source, context);
        const { file: destination } = await located(request.destination, context);
        await lstat(source);
        await makeDirectories(path.dirname(destination), user);
        await rename(source, destination);
        return { entry: await entryInfo(destination) };
      }),

    listDir: (request, context) =>
      filesystemCall(async () => {
        const { file } = await located(request.path, context);
        const found = await stat(file);
        if (!found.isDirectory()) throw new ConnectError(`'${file}' is no directory`, Code.InvalidArgument);
        return { entries: await listDirectory(file, request.depth || 1) };
      }),

    remove: (request, context) =>
      filesystemCall(async () => {
        const { file } = await located(request.path, context);
        await removeTree(file);
        return {};
      }),
  };
}
