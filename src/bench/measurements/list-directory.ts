import type { Context, Measurement, Outcome } from '../measurement.js';
import { runCommand, type AgentDoor } from '../run-command.js';
import { ratio, row } from '../statistics.js';

const FILES = 2_500;
const DIRECTORY = '/home/user/flat';

const MADE = `
import os
os.mkdir('${DIRECTORY}')
for number in range(${FILES}):
    open(f'${DIRECTORY}/{number:05}-' + 'n' * 120, 'w').close()
`;
const PROGRAM = `
import os, time
began = time.monotonic()
for entry in os.scandir('${DIRECTORY}'):
    os.lstat(entry.path), os.stat(entry.path), os.listxattr(entry.path)
print(time.monotonic() - began)
`;

const NAMES = {
  ratio: `a directory of ${FILES} files is listed, against a program in the guest`,
  service: `list a directory of ${FILES} files, seconds`,
  program: `the same by a program in the guest, seconds`,
};

export const listDirectory: Measurement = {
  name: 'list-directory',
  about:
    `A directory of ${FILES} files with names of 126 characters is listed through the data plane, from the request to the ` +
    'whole answer; in turn a Python program in the guest asks the same of each file (`lstat`, `stat`, `listxattr`), and ' +
    'times itself, without its start.',
  rows: Object.values(NAMES),
  run,
};

async function run(context: Context): Promise<Outcome> {
  const { client } = await context.startService();
  const { sandbox } = await client.create();
  const door = client.door(sandbox);
  await python(door, MADE);
  const service: number[] = [];
  const program: number[] = [];
  for (let number = 1; number <= context.runs; number++) {
    context.say(`list-directory, run ${number} of ${context.runs}`);
    service.push(await list(door));
    program.push(Number(await python(door, PROGRAM)));
  }
  return {
    rows: [
      ratio(NAMES.ratio, { goal: '<= 3 x', limit: 3, must: true }, service, program),
      row(NAMES.service, undefined, 's', service),
      row(NAMES.program, undefined, 's', program),
    ],
  };
}

const python = async (door: AgentDoor, program: string): Promise<string> =>
  (await runCommand(door, `python3 - <<'END'\n${program}END`)).output;

/** @returns seconds. @throws Error when a file is missing. */
async function list({ url, headers }: AgentDoor): Promise<number> {
  const began = performance.now();
  const answer = await fetch(`${url}/filesystem.Filesystem/ListDir`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'connect-protocol-version': '1', ...headers },
    body: JSON.stringify({ path: DIRECTORY, depth: 1 }),
  });
  const { entries = [] } = (await answer.json()) as { entries?: unknown[] };
  const seconds = (performance.now() - began) / 1000;
  if (entries.length !== FILES)
    throw new Error(`a listing was answered ${answer.status}, with ${entries.length} files`);
  return seconds;
}
