import type { ProcessEvent, ProcessEvent_EndEvent, StartRequestSchema } from '../../src/gen/process/process_pb.js';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { RunningAgent } from './agent-process.js';

export interface Result {
  pid: number;
  stdout: string;
  stderr: string;
  pty: string;
  end: ProcessEvent_EndEvent | undefined;
  /** Kinds of the events, in order, equal neighbours once. */
  kinds: string[];
}

/** A home without a profile: what the tester's own login shell does is none of the agent's business. */
export const NO_PROFILE = { HOME: '/nonexistent' };

export const bash = (script: string, more: { cwd?: string; envs?: Record<string, string> } = {}) => ({
  process: { cmd: '/bin/bash', args: ['-l', '-c', script], ...more, envs: { ...NO_PROFILE, ...more.envs } },
});

/** Starts the command and collects what it says until it ends. */
export async function run(
  agent: RunningAgent,
  request: MessageInitShape<typeof StartRequestSchema>,
  options: { headers?: Record<string, string>; timeoutMs?: number } = {},
): Promise<Result> {
  return collect(agent.processes.start(request, options));
}

export async function collect(events: AsyncIterable<{ event?: ProcessEvent }>): Promise<Result> {
  const result: Result = { pid: 0, stdout: '', stderr: '', pty: '', end: undefined, kinds: [] };
  for await (const { event } of events) {
    const what = event?.event;
    if (what?.case !== undefined && result.kinds.at(-1) !== what.case) result.kinds.push(what.case);
    if (what?.case === 'start') result.pid = what.value.pid;
    if (what?.case === 'end') result.end = what.value;
    if (what?.case !== 'data' || what.value.output.case === undefined) continue;
    // Decoded by itself, as the oldest client does.
    result[what.value.output.case] += Buffer.from(what.value.output.value).toString('utf8');
  }
  return result;
}
