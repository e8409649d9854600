import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import path from 'node:path';
import { Sandbox } from 'e2b';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { accessToken } from '../../src/keys/access-token.js';
import { init } from '../../src/guest/client.js';
import { startAgent, type RunningAgent } from '../agent/agent-process.js';
import { FakeWorld, TOKENS_KEY } from '../api/fake-world.js';
import { pythonWith, settings, type SettingsOf } from '../e2e/python-client.js';

/** The published clients, through proxy and gateway, to a real agent. */
let world: FakeWorld;
let agent: RunningAgent;
beforeEach(async () => {
  world = await new FakeWorld().start();
  const token = accessToken(TOKENS_KEY, world.add('i1', {}, { envdVersion: '0.5.7' }).spec);
  agent = await startAgent({ initialised: false });
  world.guest = agent.address;
  const told = { envVars: {}, accessToken: token, timestamp: new Date().toISOString(), defaultUser: 'root' };
  await init(agent.address, token, told, AbortSignal.timeout(10_000));
});
afterEach(async () => {
  await world.stop();
  await agent.stop();
});

/** As the host's steps do it. */
function kill(): void {
  world.activity.closeGate('i1');
  world.activity.announceStop('i1');
  world.activity.cutStreams('i1');
}

const TRUTH = 'The sandbox was killed or reached its end of life while the request was in flight';

interface Outcome {
  ends: Record<string, [kind: string, message: string]>;
  said: string;
  running: boolean;
}

const told = (kind: string): unknown => [kind, expect.stringContaining(TRUTH)];

const PYTHON: [string, string, SettingsOf][] = [
  ['ucloud_sandbox==1.2.0', 'ucloud_sandbox', 'agentbox'],
  ['ucloud_sandbox==1.5.0', 'ucloud_sandbox', 'ucloud'],
  ['e2b==2.63.0', 'e2b', 'e2b'],
];

/** Opens streams with a Python client, and waits for that. @returns what waits for their ends */
async function openStreams(requirement: string, module: string, of: SettingsOf): Promise<() => Promise<Outcome>> {
  const apiPort = Number(new URL(world.apiUrl).port);
  const config = { apiPort, proxyPort: world.proxyPort } as Parameters<typeof settings>[0]['config'];
  const child = spawn(await pythonWith(requirement), [path.join(import.meta.dirname, 'broken-streams.py'), module], {
    env: settings({ config, apiKey: 'key-a' }, of),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const errors = text(child.stderr);
  let output = '';
  child.stdout.on('data', (bytes: Buffer) => (output += bytes.toString()));
  const closed = once(child, 'close');
  await expect.poll(() => output || child.exitCode, { timeout: 90_000 }).not.toBeFalsy();
  if (child.exitCode !== null) throw new Error(`${module}: ${await errors}`);
  return async () => {
    await closed;
    return JSON.parse(output.split('\n')[1] || (await errors)) as Outcome;
  };
}

test('every Python client tells of each stream that its sandbox was killed', { timeout: 150_000 }, async () => {
  const open = await Promise.all(PYTHON.map((client) => openStreams(...client)));
  kill();
  const streams = ['command', 'terminal', 'async command', 'watch'];
  const ends = Object.fromEntries(streams.map((stream) => [stream, told('TimeoutException')]));
  expect(await Promise.all(open.map((outcome) => outcome()))).toEqual(
    PYTHON.map(() => ({ ends, said: 'said\n', running: false })),
  );
});

test.each([
  ['was killed', kill],
  [
    'was paused, and took its connections away before anyone cut them',
    () => {
      world.activity.closeGate('i1');
      world.activity.announceStop('i1');
      agent.child.kill('SIGKILL');
    },
  ],
])('e2b from npm tells of each stream that its sandbox %s', { timeout: 60_000 }, async (_how, stop) => {
  const options = { apiKey: 'key-a', validateApiKey: false, apiUrl: world.apiUrl, sandboxUrl: world.proxyUrl };
  const sandbox = await Sandbox.connect('i1', options as Parameters<typeof Sandbox.connect>[1]);
  let said = '';
  const command = await sandbox.commands.run('echo said; sleep 1000', {
    ...{ background: true, timeoutMs: 0, onStdout: (piece) => void (said += piece) },
  });
  const terminal = await sandbox.pty.create({ cols: 80, rows: 24, timeoutMs: 0, onData: () => undefined });
  // Resolves once the agent watches. A request that comes while the sandbox is stopped is refused, and no stream yet.
  let onExit: (error?: Error) => void;
  const watch = new Promise<void>((resolve, reject) => {
    onExit = (error) => (error === undefined ? resolve() : reject(error));
  });
  await sandbox.files.watchDir('/tmp', () => undefined, { timeoutMs: 0, onExit: onExit! });
  const ends = [command.wait(), terminal.wait(), watch].map((stream) =>
    stream.then(
      () => ['no error', ''],
      (error: Error) => [error.constructor.name, error.message],
    ),
  );
  await expect.poll(() => [said, world.activity.openTo('i1')], { timeout: 30_000 }).toEqual(['said\n', 3]);
  stop();
  expect(await Promise.all(ends)).toEqual([1, 2, 3].map(() => told('TimeoutError')));
  expect(await sandbox.isRunning()).toBe(false);
});
