import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { temporal } from '@temporalio/proto';

/** One directory per release, one file per run of a story. */
export const HISTORIES = path.resolve(import.meta.dirname, '../histories');

export type History = temporal.api.history.v1.IHistory;

/**
 * The SDK's own `historyToJSON` and `historyFromJSON` hand a type of one copy of protobufjs to another copy, which
 * refuses it ("type must be a Type"), wherever npm installs more than one: hence the converter of the types' own copy.
 */
const own = createRequire(createRequire(import.meta.url).resolve('@temporalio/proto'));
const { toJson, fromJson } = own('protobufjs/ext/protojson') as {
  toJson(type: unknown, message: unknown): unknown;
  fromJson(type: unknown, json: unknown, options: { ignoreUnknownFields: boolean }): History;
};
const { patchProtobufRoot } = own('@temporalio/proto/lib/patch-protobuf-root') as {
  patchProtobufRoot(root: unknown): { lookupType(name: string): { fromObject(value: unknown): unknown } };
};
const historyType = patchProtobufRoot(own('@temporalio/proto')).lookupType('temporal.api.history.v1.History');

export const historyToJson = (history: History): unknown => toJson(historyType, historyType.fromObject(history));

export interface RecordedHistory {
  /** `<release>/<story>` */
  workflowId: string;
  history: History;
}

export async function recordedHistories(): Promise<RecordedHistory[]> {
  const files = (await readdir(HISTORIES, { recursive: true })).filter((file) => file.endsWith('.json')).sort();
  return Promise.all(
    files.map(async (file) => {
      const json = JSON.parse(await readFile(path.join(HISTORIES, file), 'utf8')) as unknown;
      const history = fromJson(historyType, json, { ignoreUnknownFields: true });
      return { workflowId: file.replace(/\.json$/, ''), history };
    }),
  );
}
