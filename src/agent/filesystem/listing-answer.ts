import {
  createContextKey,
  createContextValues,
  type ConnectRouter,
  type ContextValues,
  type HandlerContext,
} from '@connectrpc/connect';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { Filesystem, type ListDirResponseSchema } from '../../gen/filesystem/filesystem_pb.js';
import { Turn } from '../turn.js';
import { entryJson } from './entry-json.js';
import type { EntryInfoInit } from './entry-info.js';

const WRITTEN = createContextKey<Buffer[] | undefined>(undefined);

/**
 * A listing is written here, entry by entry, while others have their turn. The library would write all of it in one go, and
 * looks at each field of each entry through its description: that takes longer than to list them.
 */
export async function answerListing(
  entries: EntryInfoInit[],
  { signal, values, responseHeader }: Pick<HandlerContext, 'signal' | 'values' | 'responseHeader'>,
): Promise<MessageInitShape<typeof ListDirResponseSchema>> {
  if (entries.length === 0 || responseHeader.get('content-type') !== 'application/json') return { entries };
  const turn = new Turn(signal);
  const pieces: Buffer[] = [];
  let texts: string[] = [];
  const endPiece = (before: string, after: string): void => {
    pieces.push(Buffer.from(before + texts.join(',') + after));
    texts = [];
  };
  for (const entry of entries) {
    if (turn.isOver()) {
      if (texts.length > 0) endPiece(pieces.length === 0 ? '{"entries":[' : ',', '');
      await turn.next();
    }
    texts.push(entryJson(entry));
  }
  endPiece(pieces.length === 0 ? '{"entries":[' : ',', ']}');
  values.set(WRITTEN, pieces);
  return {};
}

/** Has the handler of listings send what `answerListing` has written. */
export function sendListingsAsWritten({ handlers }: Pick<ConnectRouter, 'handlers'>): void {
  const at = handlers.findIndex(({ method }) => method === Filesystem.method.listDir);
  const handler = handlers[at]!;
  const sending: typeof handler = Object.assign(async (request: Parameters<typeof handler>[0]) => {
    const contextValues: ContextValues = request.contextValues ?? createContextValues();
    const answer = await handler({ ...request, contextValues });
    const pieces = contextValues.get(WRITTEN);
    if (pieces === undefined || answer.status !== 200) return answer;
    const header = new Headers(answer.header);
    header.set('content-length', String(pieces.reduce((sum, { length }) => sum + length, 0)));
    return { ...answer, header, body: inTurn(pieces) };
  }, handler);
  handlers[at] = sending;
}

async function* inTurn(pieces: Buffer[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}
