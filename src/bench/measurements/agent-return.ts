import { setTimeout as delay } from 'node:timers/promises';
import type { Context, Measurement, Outcome } from '../measurement.js';
import { runCommand, type AgentDoor } from '../run-command.js';
import { ratio, row } from '../statistics.js';

const WITHIN_MS = 180_000;
const LOOK_EVERY_MS = 500;

const NAME = 'a killed agent, until it answers again';

export const agentReturn: Measurement = {
  name: 'agent-return',
  about:
    "A program in the guest starts a second agent on another port and times its first answer, then ends the guest's own " +
    'agent with SIGKILL and times the next answer of that. Both by the clock of the guest.',
  rows: [NAME],
  run,
};

/** Prints seconds: of the start, and of the return. */
const PROGRAM = `
import os, signal, socket, subprocess, time
AGENT = ['/opt/dormouse/dormoused', '--no-flush-bytecode', '/opt/dormouse/lib/dormoused.cjs']
def answers(port):
    began = time.monotonic()
    while time.monotonic() - began < 120:
        try:
            link = socket.create_connection(('127.0.0.1', port), 60)
            link.sendall(b'GET /health HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n')
            if link.recv(100).startswith(b'HTTP/1.1 204'): return time.monotonic() - began
        except OSError: time.sleep(0.01)
second = subprocess.Popen(AGENT + ['--port', '45999', '--no-set-clock', '--run-directory', '/tmp/second', '--root', '/tmp/second'])
started = answers(45999)
second.kill()
second.wait()
own = subprocess.check_output(['systemctl', 'show', '-p', 'MainPID', '--value', 'dormouse-agent'])
os.kill(int(own), signal.SIGKILL)
print(started, answers(49983), flush=True)
`;

async function run(context: Context): Promise<Outcome> {
  const { client } = await context.startService();
  const { sandbox } = await client.create();
  const door = client.door(sandbox);
  await runCommand(door, `cat > /tmp/agent-return.py <<'END'\n${PROGRAM}END`);
  const found: { started: number[]; back: number[] } = { started: [], back: [] };
  for (let number = 1; number <= context.runs; number++) {
    context.say(`agent-return, run ${number} of ${context.runs}`);
    const file = `/tmp/agent-return-${number}`;
    await runCommand(door, `sudo setsid nohup python3 /tmp/agent-return.py > ${file} 2>&1 < /dev/null &`);
    const [started, back] = (await untilPrinted(door, file)).split(' ').map(Number);
    if (!Number.isFinite(started) || !Number.isFinite(back)) throw new Error(`${file} of the guest has no two numbers`);
    found.started.push(started!);
    found.back.push(back!);
  }
  await client.kill(sandbox);
  return {
    rows: [
      ratio(NAME, { goal: '<= 1.5 x its start', limit: 1.5 }, found.back, found.started),
      row('a killed agent, seconds until it answers', undefined, 's', found.back),
      row('start of an agent, seconds', undefined, 's', found.started),
    ],
    traces: [],
  };
}

/** Asks again while the agent is away, which cuts the question. @throws Error when nothing is printed in time */
async function untilPrinted(door: AgentDoor, file: string): Promise<string> {
  const end = Date.now() + WITHIN_MS;
  for (;;) {
    const asked = await runCommand(door, `cat ${file}`).catch((error: unknown) => error as Error);
    if (!(asked instanceof Error) && asked.output.endsWith('\n')) return asked.output.trim();
    if (Date.now() > end) throw new Error(`nothing was printed to ${file} of the guest`, { cause: asked });
    await delay(LOOK_EVERY_MS);
  }
}
