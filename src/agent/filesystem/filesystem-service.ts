import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { Filesystem } from '../../gen/filesystem/filesystem_pb.js';
import type { AgentState } from '../agent-state.js';
import { requestUser } from '../request-user.js';
import { resolvePath } from '../resolve-path.js';
import { answerListing } from './listing-answer.js';
import { filesystemCall } from './to-connect-error.js';
import { userFiles } from './user-files.js';
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
        return { entry: await userFiles.describe(file) };
      }),

    makeDir: (request, context) =>
      filesystemCall(async () => {
        const { user, file } = await located(request.path, context);
        return { entry: await userFiles.makeDirectory(file, user) };
      }),

    move: (request, context) =>
      filesystemCall(async () => {
        const { user, file: source } = await located(request.source, context);
        const { file: destination } = await located(request.destination, context);
        return { entry: await userFiles.move(source, destination, user) };
      }),

    listDir: (request, context) =>
      filesystemCall(async () => {
        const { file } = await located(request.path, context);
        return answerListing(await userFiles.list(file, request.depth || 1, context.signal), context);
      }),

    remove: (request, context) =>
      filesystemCall(async () => {
        const { file } = await located(request.path, context);
        await userFiles.remove(file);
        return {};
      }),
  };
}
