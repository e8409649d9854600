import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ProcessEventSchema } from '../../gen/process/process_pb.js';
import type { Listener, ProcessOutput } from './listener.js';
import type { Running } from './running.js';

type EventInit = { event: MessageInitShape<typeof ProcessEventSchema> };

/** The process's events for one stream: `start`, output as it comes, keepalives in silence, `end`. */
export async function* processEvents(
  running: Running,
  listener: Listener,
  silenceMs: number,
  signal: AbortSignal,
): AsyncGenerator<EventInit> {
  // A client that goes while its connection is full leaves this generator suspended for ever.
  signal.addEventListener('abort', () => running.output.leave(listener), { once: true });
  try {
    yield { event: { event: { case: 'start', value: { pid: running.pid } } } };
    for (;;) {
      const output = await listener.next(signal, silenceMs);
      yield toEvent(output);
      if (output?.kind === 'end') return;
    }
  } finally {
    running.output.leave(listener);
  }
}

function toEvent(output: ProcessOutput | undefined): EventInit {
  if (output === undefined) return { event: { event: { case: 'keepalive', value: {} } } };
  if (output.kind === 'end') return { event: { event: { case: 'end', value: output.end } } };
  const data = { output: { case: output.kind, value: output.bytes } };
  return { event: { event: { case: 'data', value: data } } } as EventInit;
}
