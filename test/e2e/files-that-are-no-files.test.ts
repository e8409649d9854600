import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { ApiClient } from './api-client.js';
import { pythonWith, runPython } from './python-client.js';
import type { RunningService } from './running-service.js';

let service: RunningService;
let api: ApiClient;
let python: string;
let id: string;
beforeAll(async () => {
  service = inject('service') as RunningService;
  api = new ApiClient(service);
  python = await pythonWith('ucloud_sandbox==1.2.0');
  id = await api.create();
}, 180_000);
afterAll(async () => {
  if (id !== undefined) await api.call('DELETE', `/sandboxes/${id}`);
});

/** Runs a client's program with the sandbox as `s`. @returns what it printed */
async function client(program: string): Promise<string> {
  const { stdout, stderr } = await runPython(
    python,
    service,
    `from ucloud_sandbox import Sandbox\ns = Sandbox.connect("${id}")\n${program}`,
    240_000,
  );
  expect(stderr).toBe('');
  return stdout.trim();
}

test('after clients have read and written pipes and given up, files and commands answer', async () => {
  const said = await client(`
s.commands.run("mkdir -p /home/user/odd && cd /home/user/odd && echo x > plain && for n in $(seq 6); do mkfifo p$n; done")
for n in range(1, 7):
    for call in (s.files.read, lambda p, **o: s.files.write(p, "x", **o)):
        try:
            call(f"/home/user/odd/p{n}", request_timeout=2)
            print("answered as if it were a file")
        except Exception:
            pass
print(s.files.read("/home/user/odd/plain").strip(), "plain" in [e.name for e in s.files.list("/home/user/odd")])
print(s.files.read("/proc/sys/kernel/ostype").strip())
print(s.commands.run("echo hi").stdout.strip())
`);
  expect(said.split('\n')).toEqual(['x True', 'Linux', 'hi']);
}, 300_000);

test("the guest's sources have the release's security suite", async () => {
  const said = await client(`
print(s.commands.run("apt-get indextargets --no-release-info --format '$(RELEASE)' 'Created-By: Packages'").stdout)
`);
  const release = ['bookworm', 'bookworm-updates', 'bookworm-security', 'bookworm-backports'];
  expect(new Set(said.split(/\s+/))).toEqual(new Set(release));
}, 120_000);
