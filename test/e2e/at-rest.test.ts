import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, inject, test } from 'vitest';
import { StatePaths } from '../../src/host/state-paths.js';
import { pythonWith, runPython } from './python-client.js';
import type { RunningService } from './running-service.js';

const run = promisify(execFile);
const MEMORY = 'memory-marker-5b1f0c77';
const FILE = 'file-marker-9e02d4aa';
const ENVIRONMENT = 'environment-marker-c3d81e60';

let service: RunningService;
let python: string;
beforeAll(async () => {
  service = inject('service') as RunningService;
  python = await pythonWith('ucloud_sandbox==1.2.0');
}, 180_000);

/** Files below `directories` that contain `needle` as bytes; sparse files are read like others. */
async function filesWith(needle: string, directories: string[], exclude: string[] = []): Promise<string[]> {
  const excluded = exclude.map((directory) => `--exclude-dir=${path.basename(directory)}`);
  const { stdout } = await run('grep', ['-rlaF', ...excluded, '--', needle, ...directories], {
    maxBuffer: 1 << 26,
  }).catch((error: { code?: number; stdout?: string }) => ({ stdout: error.stdout ?? '' }));
  return stdout.split('\n').filter((line) => line !== '');
}

async function processesWith(needle: string): Promise<string[]> {
  const { stdout } = await run('ps', ['-eo', 'pid,args', '-ww'], { maxBuffer: 1 << 26 });
  return stdout.split('\n').filter((line) => line.includes(needle));
}

test('of a paused sandbox nothing is readable: not its memory, its files, its variables, nor any token or key', async () => {
  const { stateDir } = service.config;
  const play = async (program: string): Promise<string> => {
    const result = await runPython(python, service, program);
    expect(result.stderr).toBe('');
    return result.stdout.trim();
  };
  const id = await play(`
from ucloud_sandbox import Sandbox
s = Sandbox.create(timeout=600, envs={"MARKER": "${ENVIRONMENT}"})
s.files.write("/home/user/marker.txt", "${FILE}" * 1000)
s.commands.run("sync")
s.commands.run("sleep 100000 ${MEMORY.slice(0, 6)}; true", background=True)
s.commands.run("""python3 -c 'import time; a = "${MEMORY.slice(0, 14)}" + "${MEMORY.slice(14)}"; b = [a * 100 for _ in range(100)]; time.sleep(100000)'""", background=True)
assert s.commands.run("echo $MARKER").stdout.strip() == "${ENVIRONMENT}"
print(s.sandbox_id)
`);
  const memory = path.join(stateDir, 'memory', id);
  // Positive control: while it runs, the same search finds the marker in its memory file.
  await expect.poll(() => filesWith(MEMORY, [memory]), { timeout: 20_000 }).toHaveLength(1);

  await play(`from ucloud_sandbox import Sandbox\nSandbox.beta_pause("${id}")`);
  const masterKey = (await readFile(service.config.masterKeyFile, 'utf8')).trim();
  const places = [stateDir, '/var/lib/libvirt', '/run/libvirt', '/var/log/libvirt'];
  const token = await tokenOf(id);
  for (const secret of [MEMORY, FILE, ENVIRONMENT, token, service.apiKey]) {
    expect(await filesWith(secret, places), secret).toEqual([]);
    expect(await processesWith(secret), secret).toEqual([]);
  }
  expect(await filesWith(masterKey, places)).toEqual([service.config.masterKeyFile]);
  expect(await processesWith(masterKey)).toEqual([]);
  await play(`from ucloud_sandbox import Sandbox\nSandbox.kill("${id}")`);
});

/** The token that the sandbox's clients use, derived as the api does. */
async function tokenOf(id: string): Promise<string> {
  const { fileMasterKey } = await import('../../src/keys/master-key.js');
  const { accessToken } = await import('../../src/keys/access-token.js');
  const { view } = JSON.parse(
    await readFile(path.join(service.config.stateDir, 'sandboxes', id, 'manifest.json'), 'utf8'),
  ) as { view: { spec: { id: string; tokenNonce: string } } };
  const token = accessToken((await fileMasterKey(service.config.masterKeyFile)).derive('tokens'), view.spec);
  return token.slice(token.indexOf('.') + 1);
}

/** What guests take of the host's memory, MiB: all shared memory there is, and that of the processes of their unix users. */
async function guestsMiB(): Promise<number> {
  const { uidBase, uidCount } = service.config;
  const shared = Number(/^Shmem:\s+(\d+) kB/m.exec(await readFile('/proc/meminfo', 'utf8'))![1]);
  const { stdout } = await run('ps', ['-eo', 'uid,rss'], { maxBuffer: 1 << 26 });
  const processes = stdout
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number) as [number, number])
    .filter(([uid]) => uid >= uidBase && uid < uidBase + uidCount);
  return (shared + processes.reduce((sum, [, rss]) => sum + rss, 0)) / 1024;
}

/** The host keeps one copy of the template's memory ready, whoever sleeps; what guests take is measured beside it. */
async function copyIsReady(): Promise<void> {
  const { memoryPool } = new StatePaths(service.config.stateDir);
  const copies = async (): Promise<string[]> => (await readdir(memoryPool)).filter((name) => /\.[0-9a-f]+$/.test(name));
  await expect.poll(copies, { timeout: 20_000 }).toHaveLength(service.config.memoryPool);
}

test("the host's memory is back to its level before create, within 10 MiB, after a pause", async () => {
  const play = async (program: string): Promise<string> => (await runPython(python, service, program)).stdout.trim();
  await copyIsReady();
  const before = await guestsMiB();
  const id = await play('from ucloud_sandbox import Sandbox\ns = Sandbox.create(timeout=600)\nprint(s.sandbox_id)');
  await copyIsReady();
  expect((await guestsMiB()) - before).toBeGreaterThan(150);
  await play(`from ucloud_sandbox import Sandbox\nSandbox.beta_pause("${id}")`);
  await copyIsReady();
  // What a pause gives up is freed in the background.
  await expect.poll(async () => (await guestsMiB()) - before, { timeout: 20_000 }).toBeLessThan(10);
  expect(await processesWith(`dormouse-${id}`)).toEqual([]);
  await play(`from ucloud_sandbox import Sandbox\nSandbox.kill("${id}")`);
});
