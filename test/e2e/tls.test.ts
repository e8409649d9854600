import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { shellFile, trustSettings } from '../../src/setup/client-settings.js';
import { pythonWith } from './python-client.js';
import { startService, type RunningService } from './running-service.js';

const run = promisify(execFile);
let service: RunningService;
beforeAll(async () => {
  service = await startService('tls', 300, { DORMOUSE_TLS: 'local', DORMOUSE_OVERLAY_POOL: '2' });
}, 300_000);
afterAll(() => service.end());

/** This machine's resolver may not know `*.localhost` (glibc does not without help): where it leads is told here. */
const python = (module: string): string => `
import socket
real = socket.getaddrinfo
socket.getaddrinfo = lambda host, *a, **k: real("127.0.0.1" if str(host).endswith(".localhost") else host, *a, **k)
from ${module} import Sandbox
s = Sandbox.create(timeout=120)
s.files.write("/home/user/a.txt", "over TLS")
print(s.commands.run("cat /home/user/a.txt").stdout)
s.beta_pause()
print(s.is_running())
print(Sandbox.connect(s.sandbox_id).commands.run("echo awake").stdout.strip())
print(s.kill())
`;
const PYTHON_SAYS = ['over TLS', 'False', 'awake', 'True'];

const NODE = `
import dns from 'node:dns';
const real = dns.lookup;
dns.lookup = (host, ...rest) => real(host.endsWith('.localhost') ? '127.0.0.1' : host, ...rest);
const { Sandbox } = await import('e2b');
const s = await Sandbox.create({ timeoutMs: 120_000 });
await s.files.write('/home/user/a.txt', 'over TLS');
console.log((await s.commands.run('cat /home/user/a.txt')).stdout);
await s.pause();
console.log(await s.isRunning());
const again = await Sandbox.connect(s.sandboxId);
console.log((await again.commands.run('echo awake')).stdout.trim());
await s.commands.run('python3 -m http.server 8000', { background: true, cwd: '/home/user' });
const url = 'https://' + s.getHost(8000) + '/a.txt';
for (let i = 0; i < 100; i++) {
  const answer = await fetch(url);
  if (answer.status === 200) { console.log(url.replace(/-.*/, ''), await answer.text()); break; }
}
console.log(await s.kill());
`;
const NODE_SAYS = ['over TLS', 'false', 'awake', 'https://8000 over TLS', 'true'];

type Environment = Record<string, string>;
const sourced = (): Environment =>
  Object.fromEntries(
    [...shellFile(service.config, service.apiKey).matchAll(/^export ([A-Z0-9_]+)=(.*)$/gm)].map(([, k, v]) => [k!, v!]),
  );
/** Nothing but a key and the domain, as for the upstream's own service: the rest is the SDK's default. */
const domainOnly = (): Environment => {
  const domain = service.config.publicDomain;
  const prefixes = { AGENTBOX: 'DOMAIN', UCLOUD_SANDBOX: 'DOMAIN', E2B: 'DOMAIN' };
  return Object.fromEntries(
    Object.entries(prefixes).flatMap(([name, variable]) => [
      [`${name}_API_KEY`, service.apiKey],
      [`${name}_${variable}`, domain],
    ]),
  );
};

async function play(command: string, args: string[], env: Environment): Promise<string[]> {
  const clean = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: '/nonexistent' };
  const { stdout } = await run(command, args, { env: { ...clean, ...env }, timeout: 170_000 });
  return stdout.trim().split('\n');
}

describe.concurrent.each([
  ['with the settings that make up writes', () => sourced()],
  ['in host form, told the domain only', () => ({ ...domainOnly(), ...trustSettings(service.config) })],
])('over HTTPS %s', (_name, env) => {
  test.each([
    ['ucloud_sandbox==1.2.0', 'ucloud_sandbox'],
    ['ucloud_sandbox==1.5.0', 'ucloud_sandbox'],
    ['e2b==2.63.0', 'e2b'],
  ])('%s creates, runs, pauses and connects', async (requirement, module) => {
    expect(await play(await pythonWith(requirement), ['-c', python(module)], env())).toEqual(PYTHON_SAYS);
  });

  test('the npm client does, and a public URL answers', async () => {
    expect(await play(process.execPath, ['--input-type=module', '-e', NODE], env())).toEqual(NODE_SAYS);
  });
});

test('without the line that makes it trusted, a client refuses the certificate', async () => {
  const { SSL_CERT_FILE: _one, NODE_EXTRA_CA_CERTS: _other, ...env } = sourced();
  const untrusting = play(await pythonWith('e2b==2.63.0'), ['-c', python('e2b')], env);
  await expect(untrusting).rejects.toThrow(/UnknownIssuer|CERTIFICATE_VERIFY_FAILED/);
});
