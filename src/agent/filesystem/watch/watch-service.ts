import { randomUUID } from 'node:crypto';
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import type { Filesystem } from '../../../gen/filesystem/filesystem_pb.js';
import { EventQueue } from '../../event-queue.js';
import { keepaliveMs } from '../../keepalive.js';
import { filesystemCall } from '../to-connect-error.js';
import { userFiles } from '../user-files.js';
import type { WatchEvent, Watching } from './watch-events.js';

type Methods = Pick<
  ServiceImpl<typeof Filesystem>,
  'watchDir' | 'createWatcher' | 'getWatcherEvents' | 'removeWatcher'
>;

/** More than anyone looks through; what a watcher keeps for nobody must not fill the memory. */
const KEPT_EVENTS = 65_536;
/** Each keeps events; together they must not fill the memory either. */
const MOST_WATCHERS = 256;

export function watchService(locate: (given: string, context: HandlerContext) => Promise<string>): Methods {
  const watchers = new Map<string, Watching & { events: WatchEvent[] }>();
  const find = (id: string) => {
    const watcher = watchers.get(id);
    if (watcher === undefined) throw new ConnectError(`watcher '${id}' not found`, Code.NotFound);
    return watcher;
  };
  return {
    async *watchDir(request, context) {
      const queue = new EventQueue<WatchEvent>();
      const directory = await locate(request.path, context);
      const { close } = await filesystemCall(() =>
        userFiles.watch(directory, request, (event) => {
          if (queue.length < KEPT_EVENTS) queue.push(event);
        }),
      );
      // A client that goes while its connection is full leaves this generator suspended for ever.
      context.signal.addEventListener('abort', close, { once: true });
      try {
        yield { event: { case: 'start', value: {} } };
        const silenceMs = keepaliveMs(context.requestHeader);
        for (;;) {
          const event = await queue.next(context.signal, silenceMs);
          if (event === undefined) yield { event: { case: 'keepalive', value: {} } };
          else yield { event: { case: 'filesystem', value: event } };
        }
      } finally {
        close();
      }
    },

    async createWatcher(request, context) {
      if (watchers.size >= MOST_WATCHERS) {
        throw new ConnectError(
          `there are ${MOST_WATCHERS} watchers already: remove one before making another`,
          Code.ResourceExhausted,
        );
      }
      const events: WatchEvent[] = [];
      const directory = await locate(request.path, context);
      const watching = await filesystemCall(() =>
        userFiles.watch(directory, request, (event) => {
          if (events.length < KEPT_EVENTS) events.push(event);
        }),
      );
      const watcherId = randomUUID();
      watchers.set(watcherId, { ...watching, events });
      return { watcherId };
    },

    async getWatcherEvents(request) {
      const { events, flush } = find(request.watcherId);
      await flush();
      return { events: events.splice(0) };
    },

    removeWatcher(request) {
      find(request.watcherId).close();
      watchers.delete(request.watcherId);
      return {};
    },
  };
}
