import type { Readable } from 'node:stream';
import type { OutputKind } from './listener.js';
import type { Output } from './output.js';
import { Utf8Cutter } from './utf8-cutter.js';

/**
 * Hands on what a stream brings: one piece in each turn of the event loop, however much there is. A command that
 * prints without end must not keep the agent from anything else.
 *
 * @returns goes on reading, if that is wanted
 */
export function passFairly(stream: Readable, output: Output, kind: OutputKind, wanted: () => boolean): () => void {
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
  stream.once('close', () => output.write(kind, cutter.rest()));
  return goOn;
}
