import { Code, ConnectError, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import { Signal, type Process, type ProcessInput, type StartRequest } from '../../gen/process/process_pb.js';
import type { AgentState } from '../agent-state.js';
import { keepaliveMs } from '../keepalive.js';
import { requestUser } from '../request-user.js';
import { monotonicMs } from '../survival/record.js';
import type { Survival } from '../survival/survival.js';
import { adopt } from './adopt.js';
import { prepareCommand } from './command.js';
import { processEvents } from './events.js';
import { startPiped } from './piped.js';
import type { ProgramsGroup } from './programs-group.js';
import type { ProcessEvents } from './process-events.js';
import { forWantOfMemory } from './exit-status.js';
import { ProcessTable } from './process-table.js';
import type { Running } from './running.js';
import { startOnTerminal } from './terminal.js';

export interface ProcessOptions {
  survival?: Survival | undefined;
  /** Absent where the agent can make no cgroup. */
  group?: ProgramsGroup | undefined;
}

export function processService(
  state: AgentState,
  events: ProcessEvents,
  options: ProcessOptions,
): ServiceImpl<typeof Process> {
  const table = new ProcessTable();
  const { survival } = options;
  for (const record of survival?.before?.processes ?? []) {
    const entry = adopt(record, survival!);
    table.add(entry);
    events.followEnd(entry.running, record.user);
    survival!.goOn(entry, record.user, record.killAtMs);
    killAfter(entry.running, record.killAtMs === undefined ? undefined : record.killAtMs - monotonicMs());
  }
  return {
    list: () => ({
      processes: table
        .list()
        .map(({ config, running, tag }) => ({ config, pid: running.pid, ...(tag === undefined ? {} : { tag }) })),
    }),

    async *start(request, context) {
      const { running, user } = await launch(request, context, state, options);
      events.follow(running, user);
      const listener = running.output.listen();
      const entry = { running, config: request.process!, tag: request.tag };
      table.add(entry);
      const ms = context.timeoutMs();
      survival?.follow(entry, user, ms === undefined ? undefined : monotonicMs() + ms);
      const isLate = killAfter(running, ms);
      for await (const event of processEvents(running, listener, keepaliveMs(context.requestHeader), context.signal)) {
        // This timer and the stream's own run out together: whichever is first, the client hears of its limit.
        if (event.event.event?.case === 'end' && isLate()) {
          throw new ConnectError('the command took longer than it was given', Code.DeadlineExceeded);
        }
        yield event;
      }
    },

    async *connect(request, context) {
      const { running } = table.liveOrEnded(request.process);
      const listener = running.output.listen();
      yield* processEvents(running, listener, keepaliveMs(context.requestHeader), context.signal);
    },

    update(request) {
      const { running } = table.live(request.process);
      const size = request.pty?.size;
      if (size !== undefined) running.resize(size.cols, size.rows);
      return {};
    },

    async sendInput(request) {
      await input(table.live(request.process).running, request.input);
      return {};
    },

    async streamInput(requests) {
      let running: Running | undefined;
      for await (const { event } of requests) {
        if (event.case === 'start') running = table.live(event.value.process).running;
        if (event.case !== 'data') continue;
        if (running === undefined) throw new ConnectError('data came before start', Code.InvalidArgument);
        await input(running, event.value.input);
      }
      return {};
    },

    sendSignal(request) {
      const { running } = table.live(request.process);
      if (request.signal === Signal.SIGKILL) running.kill('SIGKILL');
      else if (request.signal === Signal.SIGTERM) running.kill('SIGTERM');
      else throw new ConnectError(`signal ${request.signal} is not supported`, Code.Unimplemented);
      return {};
    },

    closeStdin(request) {
      table.live(request.process).running.closeStdin();
      return {};
    },
  };
}

async function launch(
  request: StartRequest,
  context: HandlerContext,
  state: AgentState,
  { group }: ProcessOptions,
): Promise<{ running: Running; user: string }> {
  const user = await requestUser(context.requestHeader, state);
  if (request.process === undefined) throw new ConnectError('process is missing', Code.InvalidArgument);
  const { cmd, args, envs, cwd } = request.process;
  const command = await prepareCommand({ cmd, args, envs, cwd }, user, state);
  const running =
    request.pty === undefined
      ? await startPiped(command, request.stdin ?? true)
      : startOnTerminal(command, request.pty.size);
  if (group !== undefined) {
    const before = group.kills;
    running.output.explain = (end) => (end.exitCode !== 0 && group.killsNow() > before ? forWantOfMemory(end) : end);
    void group.add(running.pid);
  }
  return { running, user: user.name };
}

/** The time that a start allows is the process's, also when its client is gone by then. @returns whether it is over. */
function killAfter(running: Running, ms: number | undefined): () => boolean {
  if (ms === undefined) return () => false;
  let late = false;
  const timer = setTimeout(
    () => {
      late = !running.isGone();
      running.kill('SIGKILL');
    },
    Math.max(0, ms),
  );
  running.output.onEnd(() => clearTimeout(timer));
  return () => late;
}

async function input(running: Running, given: ProcessInput | undefined): Promise<void> {
  const wanted = given?.input;
  if (wanted?.case === undefined) throw new ConnectError('input is missing', Code.InvalidArgument);
  if ((wanted.case === 'pty') !== running.terminal) {
    throw new ConnectError(`the process takes no ${wanted.case} input`, Code.Internal);
  }
  await running.write(wanted.value);
}
