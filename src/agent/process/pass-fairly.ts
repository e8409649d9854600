import type { Readable } from 'node:stream';
import type { OutputKind } from './listener.js';
import type { Output } from './output.js';
import { Utf8Cutter } from './utf8-cutter.js';

export interface Passing {
  goOn: () => void;
  flush: () => void;
}

/**
 * Hands on what a stream brings: one piece in each turn of the event loop, however much there is. A command that
 * prints without end must not keep the agent from anything else.
 *
 * @returns `goOn` reads on, if that is wanted; `flush` hands on what is held until its character is complete
 */
export function passFairly(stream: Readable, output: Output, kind: OutputKind, wanted: () => boolean): Passing {
  const cutter = new Utf8Cutter();
  let next: NodeJS.Immediate | undefined;
  const take = (): void => {
    next = undefined;
    if (!wanted()) return;
    const bytes = stream.read() as Buffer | null;
    if (bytes === null) return;
    output.write(kind, cutter.push(bytes));
    goOn();
  };
  const goOn = (): void => void (next ??= setImmediate(take));
  stream.on('readable', goOn);
  const flush = (): void => output.write(kind, cutter.rest());
  stream.once('close', flush);
  return { goOn, flush };
}
