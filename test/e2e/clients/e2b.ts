/** The story of the npm client, against a real guest. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { request, type IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import {
  AuthenticationError,
  CommandExitError,
  FileNotFoundError,
  FilesystemEventType,
  InvalidArgumentError,
  NotFoundError,
  Sandbox,
  SandboxError,
  TimeoutError,
  type FilesystemEvent,
} from 'e2b';
import { WebSocket } from 'ws';
import { part } from './narrate.js';

const story = String(Date.now());
const MIB = 1024 * 1024;
let sandbox: Sandbox;
let counting: Awaited<ReturnType<typeof inBackground>>;

const inBackground = (command: string, more: object = {}) =>
  sandbox.commands.run(command, { background: true, timeoutMs: 0, ...more });
const output = async (command: string, more: object = {}) => (await sandbox.commands.run(command, more)).stdout;
const pids = async () => (await sandbox.commands.list()).map((process) => process.pid);

async function until(condition: () => boolean, what: string): Promise<void> {
  for (const giveUp = Date.now() + 20_000; !condition(); await delay(100)) assert(Date.now() < giveUp, what);
}

/** What every client says of a stream whose sandbox was killed or paused. */
const GONE = 'The sandbox was killed or reached its end of life';

async function endsWith(kind: new (...given: never[]) => Error, waiting: Promise<unknown>, says = ''): Promise<void> {
  const over = new AbortController();
  const late = delay(30_000, 'hangs', { signal: over.signal }).catch(() => undefined);
  const ended = await Promise.race([late, waiting.catch((error: unknown) => error)]);
  over.abort();
  assert(ended instanceof kind && ended.message.includes(says), `it ended with ${String(ended)}`);
}

await part('creates a sandbox with metadata and environment', async () => {
  const metadata = { story, 'a key': 'a&b/c=ü', ['__proto__']: 'kept' };
  sandbox = await Sandbox.create({ timeoutMs: 300_000, metadata, envs: { COLOUR: 'blue ✓', ['__proto__']: 'kept' } });
  const info = await sandbox.getInfo();
  assert.deepEqual([info.sandboxId, info.metadata, info.state], [sandbox.sandboxId, metadata, 'running']);
  assert(await sandbox.isRunning());
});

await part('runs commands in the foreground', async () => {
  let said = '';
  const options = { cwd: '/tmp', envs: { EXTRA: '1' }, onStdout: (text: string) => void (said += text) };
  const result = await sandbox.commands.run('pwd; echo $EXTRA $COLOUR $__proto__; echo oops >&2', options);
  assert.deepEqual([result.stdout, result.stderr, result.exitCode], ['/tmp\n1 blue ✓ kept\n', 'oops\n', 0]);
  assert.equal(said, result.stdout);
  await assert.rejects(
    sandbox.commands.run('echo said; exit 3'),
    (error) => error instanceof CommandExitError && error.exitCode === 3 && error.stdout === 'said\n',
  );
  await assert.rejects(sandbox.commands.run('true', { cwd: '/nowhere' }), InvalidArgumentError);
  assert.equal((await sandbox.commands.run('echo by name > /dev/stderr')).stderr, 'by name\n');
  assert.equal(await output('sleep 4711 & echo up'), 'up\n');
  assert.equal(await output("pgrep -fc '^sleep 4711'"), '1\n');
  const many = await Promise.all(Array.from({ length: 10 }, (_, index) => output(`echo ${index}`)));
  assert.equal(many.join(''), '0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n');
});

await part('runs a command in the background, connects to it by its pid, kills it', async () => {
  const ticking = await inBackground('while sleep 0.2; do echo tick; done');
  let ticks = '';
  const connected = await sandbox.commands.connect(ticking.pid, { onStdout: (text) => void (ticks += text) });
  await until(() => ticks.startsWith('tick\n'), 'a tick');
  await connected.disconnect();
  assert((await pids()).includes(ticking.pid) && (await sandbox.commands.kill(ticking.pid)));
  await endsWith(CommandExitError, ticking.wait());
  assert(!(await sandbox.commands.kill(ticking.pid)) && !(await pids()).includes(ticking.pid));
});

await part('sends input to a command', async () => {
  const reading = await inBackground('read line; echo got $line; cat', { stdin: true });
  await sandbox.commands.sendStdin(reading.pid, 'höre\nand more');
  await sandbox.commands.closeStdin(reading.pid);
  assert.equal((await reading.wait()).stdout, 'got höre\nand more');
});

await part('ends a command at its time', async () => {
  await assert.rejects(sandbox.commands.run('sleep 54321', { timeoutMs: 1_000 }), TimeoutError);
  assert.equal(await output("pgrep -fc '^sleep 54321' || true"), '0\n');
});

await part('runs commands and writes files as root', async () => {
  assert.equal(await output('id -un; pwd'), 'user\n/home/user\n');
  assert.equal(await output('id -un; pwd', { user: 'root' }), 'root\n/root\n');
  await sandbox.files.write('/root/secret', 'mine', { user: 'root' });
  assert.equal((await sandbox.files.getInfo('/root/secret', { user: 'root' })).owner, 'root');
  await assert.rejects(sandbox.commands.run('true', { user: 'nobody-there' }), AuthenticationError);
});

await part('uses a terminal', async () => {
  let screen = '';
  const onData = (data: Uint8Array) => void (screen += Buffer.from(data).toString('utf8'));
  const terminal = await sandbox.pty.create({ rows: 24, cols: 80, onData, envs: { WHO: 'me' } });
  await sandbox.pty.resize(terminal.pid, { rows: 33, cols: 101 });
  await sandbox.pty.sendInput(terminal.pid, Buffer.from('stty size; echo $WHO-$TERM; exit 0\n'));
  await terminal.wait();
  assert(screen.includes('33 101') && screen.includes('me-xterm-256color'), screen);
  const other = await sandbox.pty.create({ rows: 24, cols: 80, onData });
  assert(await sandbox.pty.kill(other.pid));
  await endsWith(CommandExitError, other.wait());
});

await part('writes, reads, lists, moves and removes files', async () => {
  const { files } = sandbox;
  assert.equal((await files.write('story/text.txt', 'hällo')).path, '/home/user/story/text.txt');
  assert.equal(await files.read('/home/user/story/text.txt'), 'hällo');
  const everyByte = Buffer.from(Array.from({ length: 25_600 }, (_, index) => index % 256));
  await files.write('/home/user/story/bytes', new Blob([everyByte]));
  assert(everyByte.equals(await files.read('/home/user/story/bytes', { format: 'bytes' })));
  const several = await files.write(['a', 'b', 'c'].map((name) => ({ path: `story/several/${name}`, data: name })));
  assert.deepEqual(
    several.map((one) => one.name),
    ['a', 'b', 'c'],
  );
  assert(await files.makeDir('story/empty'));
  assert(!(await files.makeDir('story/empty')));
  const names = (await files.list('story')).map((entry) => entry.name);
  assert.deepEqual(names.sort(), ['bytes', 'empty', 'several', 'text.txt']);
  await files.rename('story/text.txt', 'story/moved/text');
  assert.deepEqual([await files.exists('story/moved/text'), await files.exists('story/text.txt')], [true, false]);
  await files.remove('story');
  await assert.rejects(files.read('story/text.txt'), FileNotFoundError);
  await assert.rejects(files.list('story'), NotFoundError);
});

await part('streams a large file up and down', async () => {
  const piece = Buffer.from(Array.from({ length: MIB }, (_, index) => index % 256));
  const digest = (): string => sent.copy().digest('hex');
  const sent = createHash('sha256');
  let left = 50;
  const up = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      if (left-- === 0) return controller.close();
      sent.update(piece);
      controller.enqueue(piece);
    },
  });
  await sandbox.files.write('large', up);
  const received = createHash('sha256');
  for await (const chunk of await sandbox.files.read('large', { format: 'stream' })) received.update(chunk);
  assert.equal(received.digest('hex'), digest());
  assert.equal((await output('sha256sum < large')).split(' ')[0], digest());
  await sandbox.files.remove('large');
});

await part('watches a directory', async () => {
  await sandbox.files.makeDir('watched');
  const seen: FilesystemEvent[] = [];
  const options = { recursive: true, includeEntry: true };
  const watcher = await sandbox.files.watchDir('watched', (event) => void seen.push(event), options);
  await sandbox.commands.run('mkdir watched/deep; sleep 1; echo x > watched/deep/file; sleep 1; rm watched/deep/file');
  const has = (name: string, type: FilesystemEventType) =>
    seen.some((event) => event.name === name && event.type === type);
  const wanted = [FilesystemEventType.WRITE, FilesystemEventType.REMOVE];
  await until(
    () => has('deep', FilesystemEventType.CREATE) && wanted.every((type) => has('deep/file', type)),
    'events',
  );
  assert(seen.some((event) => event.entry?.name === 'deep'));
  await sandbox.files.write('watched/told', 'text');
  await until(() => has('told', FilesystemEventType.WRITE), 'events of an upload');
  const told = seen.filter((event) => event.name === 'told').map((event) => event.type);
  assert.deepEqual(told, [FilesystemEventType.CREATE, FilesystemEventType.CHMOD, FilesystemEventType.WRITE]);
  await watcher.stop();
});

await part('stores metadata with a file', async () => {
  await sandbox.files.write('marked', 'x', { metadata: { owner: 'me too' } });
  assert.deepEqual((await sandbox.files.getInfo('marked')).metadata, { owner: 'me too' });
});

await part('signs uploads and downloads that need no token', async () => {
  const form = new FormData();
  form.append('file', new Blob(['signed']), 'f');
  const upload = await sandbox.uploadUrl('/home/user/signed', { user: 'user', useSignatureExpiration: 60 });
  assert.equal((await fetch(upload, { method: 'POST', body: form })).status, 200);
  const download = await sandbox.downloadUrl('/home/user/signed', { user: 'user' });
  assert.equal(await (await fetch(download)).text(), 'signed');
  assert.equal((await fetch(`${download.slice(0, -4)}AAAA`)).status, 401);
  const ended = await sandbox.downloadUrl('/home/user/signed', { user: 'user', useSignatureExpiration: -10 });
  const refusal = await fetch(ended);
  const body = await refusal.text();
  assert.deepEqual([refusal.status, body], [401, '{"code":401,"message":"signature is already expired"}']);
  const valid = await sandbox.downloadUrl('/home/user/signed', { user: 'user', useSignatureExpiration: 600 });
  for (const year of [2019, 2035]) {
    await sandbox.commands.run(`date -s ${year}-01-01`, { user: 'root' });
    assert.deepEqual([(await fetch(valid)).status, (await fetch(ended)).status], [200, 401]);
  }
  await sandbox.commands.run(`date -s @${Math.floor(Date.now() / 1000)}`, { user: 'root' });
});

await part('serves HTTP and WebSockets from a port of the guest', async () => {
  await sandbox.files.write('web.py', await readFile(process.argv[2]!, 'utf8'));
  const serving = await inBackground('python3 web.py');
  // Nothing resolves the name of the public URL here: it goes as the Host header.
  const proxy = process.env['E2B_SANDBOX_URL']!;
  const headers = { host: sandbox.getHost(8080) };
  const get = async (): Promise<string> => {
    const [answer] = (await once(request(proxy, { headers }).end(), 'response')) as [IncomingMessage];
    return (await answer.toArray()).join('');
  };
  for (const giveUp = Date.now() + 20_000; (await get()) !== 'hello from the guest'; await delay(100))
    assert(Date.now() < giveUp, 'an answer from the guest');
  const socket = new WebSocket(proxy.replace('http', 'ws'), { headers });
  await once(socket, 'open');
  socket.send('höre');
  const [message] = (await once(socket, 'message')) as [Buffer];
  assert.equal(message.toString('utf8'), 'höre');
  assert(await serving.kill());
});

await part("reads the sandbox's metrics", async () => {
  let samples = await sandbox.getMetrics();
  for (const giveUp = Date.now() + 20_000; samples.length === 0; samples = await sandbox.getMetrics()) {
    assert(Date.now() < giveUp, 'a sample');
    await delay(200);
  }
  const { memUsed, memTotal, diskUsed, diskTotal } = samples[0]!;
  assert(memUsed > 0 && memUsed < memTotal && diskUsed > 0 && diskUsed < diskTotal);
});

await part('lists sandboxes with filters and pages', async () => {
  const others = await Promise.all([1, 2].map(() => Sandbox.create({ timeoutMs: 60_000, metadata: { story } })));
  const pages = Sandbox.list({ query: { metadata: { story } }, limit: 2 });
  const ids: string[] = [];
  while (pages.hasNext) ids.push(...(await pages.nextItems()).map((found) => found.sandboxId));
  assert.deepEqual(ids.sort(), [sandbox, ...others].map((one) => one.sandboxId).sort());
  const paused = await Sandbox.list({ query: { metadata: { story }, state: ['paused'] } }).nextItems();
  assert.deepEqual(paused, []);
  const [one, other] = others;
  await one!.setTimeout(0);
  assert.deepEqual([await Sandbox.kill(one!.sandboxId), await Sandbox.kill(other!.sandboxId)], [false, true]);
  const remaining = await Sandbox.list({ query: { metadata: { story } } }).nextItems();
  assert.deepEqual(
    remaining.map((found) => found.sandboxId),
    [sandbox.sandboxId],
  );
});

await part('sets the timeout, shorter and longer', async () => {
  for (const timeoutMs of [120_000, 900_000]) {
    const asked = Date.now();
    await sandbox.setTimeout(timeoutMs);
    const begins = (await sandbox.getInfo()).endAt.getTime() - timeoutMs;
    assert(asked - 1_000 <= begins && begins <= Date.now() + 1_000, `${asked}, ${begins}`);
  }
});

await part("pauses, and open streams end with an error of the client's", async () => {
  counting = await inBackground('for i in $(seq 100000); do echo $i; sleep 0.2; done');
  const silent = await inBackground('sleep 1000');
  const chatting = await inBackground('yes');
  let watchEnded: (error?: Error) => void = () => undefined;
  const watching = new Promise<Error | undefined>((resolve) => (watchEnded = resolve));
  await sandbox.files.watchDir('watched', () => undefined, { timeoutMs: 0, onExit: watchEnded });
  const waiting = [counting, silent, chatting].map((stream) => endsWith(TimeoutError, stream.wait(), GONE));
  assert.equal(await sandbox.pause(), true);
  await Promise.all(waiting);
  const watchError = await watching;
  assert(watchError instanceof TimeoutError && watchError.message.includes(GONE), String(watchError));
  assert.equal((await sandbox.getInfo()).state, 'paused');
  assert.equal(await sandbox.pause(), false);
  assert.equal(await sandbox.isRunning(), false);
  await assert.rejects(sandbox.commands.run('true'), SandboxError);
});

await part('connects, and the processes of before go on', async () => {
  const again = await Sandbox.connect(sandbox.sandboxId, { timeoutMs: 300_000 });
  assert((await again.commands.list()).some((process) => process.pid === counting.pid));
  let numbers = '';
  const followed = await again.commands.connect(counting.pid, { onStdout: (text) => void (numbers += text) });
  await until(() => numbers.includes('\n'), 'its output');
  assert(Number(numbers.split('\n')[0]) > 1);
  assert(await again.commands.kill(counting.pid));
  await endsWith(CommandExitError, followed.wait());
  assert.equal(await output('echo $COLOUR'), 'blue ✓\n');
});

await part('is killed during a command, and then is not there', async () => {
  const silent = await inBackground('sleep 2000');
  const ended = endsWith(TimeoutError, silent.wait(), GONE);
  assert.equal(await sandbox.kill(), true);
  await ended;
  assert.deepEqual([await sandbox.isRunning(), await sandbox.kill()], [false, false]);
  await assert.rejects(Sandbox.connect(sandbox.sandboxId), NotFoundError);
});
