import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Sandbox } from 'e2b';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { mintKey } from '../../src/api/api-keys.js';
import { CLASSES, type Targets } from '../proxy/differential/generate.js';
import { differential } from '../proxy/differential/run.js';
import { ApiClient } from './api-client.js';
import { clientOf } from './client-of.js';
import type { RunningService } from './running-service.js';

/** As `test/proxy/differential`, with two guests in place of its servers. */
const SEED = Number(process.env['DORMOUSE_SEED'] ?? 20_262);
const OF_EACH = 8;
const PLACE = '/home/user/recorded';
/** A guest under emulation answers within this, if it ever does. */
const HUNG_MS = 60_000;

interface Recording {
  api: ApiClient;
  id: string;
  client: Sandbox;
}

let service: RunningService;
let sandboxes: Recording[];
beforeAll(async () => {
  service = inject('service') as RunningService;
  const program = await readFile(path.join(import.meta.dirname, 'guest-programs/recorder.py'), 'utf8');
  const ports = [
    [3001, 3003],
    [3002, 3004],
  ];
  const other = await mintKey(service.config.apiKeysFile, 'another-tenant');
  const start = async (apiKey: string, body: object, listens: number[]): Promise<Recording> => {
    const as = { config: service.config, apiKey };
    const api = new ApiClient(as);
    const id = await api.create({ timeout: 600, ...body });
    const client = await clientOf(as, id);
    await client.files.write('/home/user/recorder.py', program);
    const command = `python3 /home/user/recorder.py ${PLACE} ${listens.join(' ')}`;
    await client.commands.run(command, { background: true, timeoutMs: 0 });
    const ready = listens.map((port) => `[ -e ${PLACE}/${port}.listens ]`).join(' && ');
    await client.commands.run(`until ${ready}; do sleep 0.1; done`);
    return { api, id, client };
  };
  sandboxes = await Promise.all([
    start(service.apiKey, {}, ports[0]!),
    // A request that could wake its sandbox keeps its body back until it is known that it need not.
    start(other, { autoPause: true, autoResume: { enabled: true } }, ports[1]!),
  ]);
});
afterAll(async () => {
  for (const { api, id } of sandboxes ?? []) await api.call('DELETE', `/sandboxes/${id}`);
});

async function recordedBy({ client }: Recording): Promise<string[]> {
  const { stdout } = await client.commands.run(`cd ${PLACE} && for f in *.bytes; do base64 -w 0 $f; echo; done`);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => Buffer.from(line, 'base64').toString('latin1'));
}

test(`two guests see what the clients of each sent, and no byte of the other's (seed ${SEED})`, async () => {
  const [mine, theirs] = sandboxes as [Recording, Recording];
  const hosts = ({ id }: Recording, ...ports: number[]): { host: string }[] =>
    ports.map((port) => ({ host: `${port}-${id}.x.y` }));
  const targets: Targets = [hosts(mine, 3001, 3003), hosts(theirs, 3002, 3004)];
  const options = { seed: SEED, ofEach: OF_EACH, targets, proxyPort: service.config.proxyPort, hungMs: HUNG_MS };
  const { cases, wrong } = await differential(options, async () => [await recordedBy(mine), await recordedBy(theirs)]);
  expect(wrong).toEqual([]);
  for (const name of CLASSES) expect(cases.filter((one) => one.class === name)).toHaveLength(OF_EACH);
});
