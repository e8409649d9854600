import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { Class } from './generate.js';

/** The comparison itself, held against copies of the service that lack a repair: each must show. */
const ROOT = path.resolve(import.meta.dirname, '../../..');
const made: string[] = [];
afterEach(async () => {
  for (const directory of made.splice(0)) await rm(directory, { recursive: true, force: true });
});

/** @param edits in each file, what is taken out, and what is put in its place */
async function runCopy(classes: Class[], edits: Record<string, [from: string, to: string][]> = {}): Promise<string[]> {
  const copy = await mkdtemp(path.join(tmpdir(), 'dormouse-differential-'));
  made.push(copy);
  for (const part of ['src', 'workflows', 'test', 'package.json', 'tsconfig.json']) {
    await cp(path.join(ROOT, part), path.join(copy, part), { recursive: true });
  }
  await symlink(path.join(ROOT, 'node_modules'), path.join(copy, 'node_modules'));
  for (const [file, changes] of Object.entries(edits)) {
    let text = await readFile(path.join(copy, file), 'utf8');
    for (const [from, to] of changes) {
      expect(text.split(from), `${file} has ${JSON.stringify(from)} once`).toHaveLength(2);
      text = text.replace(from, to);
    }
    await writeFile(path.join(copy, file), text);
  }
  const load = (name: string): Promise<unknown> => import(path.join(copy, 'test/proxy/differential', name));
  const { twoSandboxes } = (await load('two-sandboxes.ts')) as typeof import('./two-sandboxes.js');
  const { differential } = (await load('run.ts')) as typeof import('./run.js');
  const scene = await twoSandboxes();
  try {
    const { wrong } = await differential({ seed: 1, ofEach: 480 / classes.length, classes, ...scene }, scene.seen);
    return wrong;
  } finally {
    await scene.stop();
  }
}

test('a copy in which nothing was changed shows nothing', async () => {
  expect(await runCopy(['header counts', 'Connection'])).toEqual([]);
}, 120_000);

/** Bytes of a client of one tenant in a request of a client of the other. */
const MIXED = /^bytes of q\d+r\d+z \(sandbox ([01])\) in a request of q\d+r\d+z \(sandbox (?!\1)[01]\)/;

/** As all connections between proxy and gateway were at first: any of them took the requests of every sandbox. */
const SHARED: Record<string, [from: string, to: string][]> = {
  'src/proxy/destination.ts': [['const shareWith = `${target.id}:${target.port}`', "const shareWith = ''"]],
};
const SENT_AS_IT_COMES: [from: string, to: string][] = [
  ['      if (!body) {', '      if (request.destroyed) {'],
  ["      if (framing.kind === 'length') endAt(framing.bytes);", ''],
];
const NOT_COUNTED: [from: string, to: string] = ['  Object.assign(outgoing, { strictContentLength: true });', ''];

test('a body that hides behind more headers than Node shows is found in a request to the other sandbox', async () => {
  const wrong = await runCopy(['header counts'], {
    ...SHARED,
    'src/relay/bound-heads.ts': [['  server.maxHeadersCount = 0;', '  return server;']],
    'src/relay/destination.ts': [NOT_COUNTED, ['  outgoing.maxHeadersCount = 0;', '']],
    'src/relay/relay-request.ts': SENT_AS_IT_COMES,
  });
  // Newer versions of Node refuse so many headers themselves.
  if (process.version.startsWith('v20.')) expect(wrong.filter((one) => MIXED.test(one))).not.toEqual([]);
  else expect(wrong).not.toEqual([]);
}, 120_000);

test('a body whose length a Connection header takes away is found in a request to the other sandbox', async () => {
  // One that was taken away counts as none.
  const asItCame = "      if (headers.some((name) => name.toLowerCase() === 'content-length')) return [...headers];";
  const wrong = await runCopy(['Connection'], {
    ...SHARED,
    'src/relay/headers.ts': [[' && !NEVER_DROPPED.has(lower)', '']],
    'src/relay/framing.ts': [["      return [...unframed, 'Content-Length', String(framing.bytes)];", asItCame]],
    'src/relay/destination.ts': [NOT_COUNTED],
    'src/relay/relay-request.ts': SENT_AS_IT_COMES,
  });
  expect(wrong.filter((one) => MIXED.test(one))).not.toEqual([]);
}, 120_000);
