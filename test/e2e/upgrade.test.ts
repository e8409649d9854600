import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { readConfig } from '../../src/config.js';
import { EarlierVersion } from './earlier-version.js';
import { whileHostWorkerIsFrozen } from './frozen-host-worker.js';
import { pythonWith, runPython } from './python-client.js';
import { serviceEnvironment, startService, type RunningService } from './running-service.js';

const holder = await readFile(path.join(import.meta.dirname, 'guest-programs/holder.py'), 'utf8');
/** A commit that writes sealed format version 1. */
const commit = (await readFile(path.join(import.meta.dirname, '../format-1'), 'utf8')).trim();

const ASK = `python3 -c "import socket; s = socket.create_connection(('127.0.0.1', 7070)); print(s.recv(4096).decode())"`;
const PORTS = 900;
/** Its template may have to be built. */
const BUILD_WITHIN_MS = 600_000;

let python: string;
let earlier: EarlierVersion | undefined;
let service: RunningService | undefined;
beforeAll(async () => {
  python = await pythonWith('ucloud_sandbox==1.2.0');
}, 180_000);
afterAll(async () => {
  await service?.end();
  await earlier?.remove();
});

test(
  'a sandbox that an earlier version has paused wakes under this one, with its memory',
  async () => {
    const shared = readConfig(process.env);
    // Its template must not become the newest one of all other tests; built once, and kept.
    const templates = { DORMOUSE_TEMPLATE_DIR: path.join(shared.home, 'templates-with-earlier') };
    const env = serviceEnvironment('upgrade', PORTS, templates);
    const config = readConfig(env);
    earlier = await EarlierVersion.build(commit, `${config.stateDir}-earlier`);
    const play = async (apiKey: string, program: string): Promise<string[]> => {
      const { stdout, stderr } = await runPython(python, { config, apiKey } as RunningService, program);
      expect(stderr).toBe('');
      return stdout.trim().split('\n');
    };
    const pausedByEarlier = async (version: EarlierVersion): Promise<[id: string, then: string]> => {
      const down = await version.up(env, AbortSignal.timeout(BUILD_WITHIN_MS));
      try {
        const printed = await play(
          await version.apiKey(),
          `
import time
from ucloud_sandbox import Sandbox
s = Sandbox.create(timeout=600)
s.files.write("/home/user/holder.py", ${JSON.stringify(holder)})
h = s.commands.run("python3 /home/user/holder.py kept-over-the-upgrade", background=True)
for _ in range(100):
    r = s.commands.run(${JSON.stringify(`test -e /home/user/opened.txt && ${ASK} || true`)})
    if r.stdout.strip(): break
    time.sleep(0.2)
print(s.sandbox_id)
print(r.stdout.strip())
s.beta_pause()
`,
        );
        return printed as [string, string];
      } finally {
        await down();
      }
    };
    const version = earlier;
    // Its guard of the network is another table of the same name, which the host worker that all tests share puts right.
    const { stateDir: beside } = (inject('service') as RunningService).config;
    const [id, before] = await whileHostWorkerIsFrozen(beside, () => pausedByEarlier(version));
    const then = JSON.parse(before) as Record<string, unknown>;
    await execa('cp', ['-al', '--no-clobber', `${shared.templateDir}/.`, config.templateDir]);
    service = await startService('upgrade', PORTS, templates);
    const manifest = await readFile(path.join(config.stateDir, 'sandboxes', id, 'manifest.json'), 'utf8');
    expect(JSON.parse(manifest)).toMatchObject({ id, mac: expect.any(String) });
    const [after] = await play(
      service.apiKey,
      `
from ucloud_sandbox import Sandbox
s = Sandbox.connect("${id}")
print(s.commands.run(${JSON.stringify(ASK)}).stdout.strip())
s.beta_pause()
s = Sandbox.connect("${id}")
s.kill()
`,
    );
    const now = JSON.parse(after!) as Record<string, unknown>;
    expect({ ...now, count: 0 }).toEqual({ ...then, count: 0 });
    expect(now['secret']).toBe('kept-over-the-upgrade');
    expect(Number(now['count'])).toBeGreaterThan(Number(then['count']));
  },
  BUILD_WITHIN_MS + 300_000,
);
