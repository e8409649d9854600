import { writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import { FloorGuest } from '../bench/floor.js';
import { ServiceClient } from '../bench/service-client.js';
import { ratio, row, table, type Row } from '../bench/statistics.js';
import { readConfig } from '../config.js';
import { clientUrls } from '../setup/client-settings.js';
import { firstKey } from '../setup/first-key.js';
import { qemuIds } from '../setup/qemu-user.js';
import { listTemplates } from '../template/template.js';

/** What stands in memory and on disk before the pauses that are measured. */
const LIGHT_USE =
  'python3 -c "import json, http.client, sqlite3" && head -c 20000000 /dev/urandom > /home/user/filler && node -e "1"';

async function main(): Promise<void> {
  const program = new Command()
    .option('--json <file>', 'also write the rows as JSON')
    .option('--runs <n>', 'runs of each', '10')
    .parse();
  const { json, runs } = program.opts<{ json?: string; runs: string }>();
  const config = readConfig(process.env);
  const template = (await listTemplates(config.templateDir))[0];
  if (template === undefined) throw new Error('there is no template yet. Run "make up" first.');
  const { api, proxy } = clientUrls(config);
  const client = new ServiceClient(api, proxy, await firstKey(config.apiKeysFile, '.dormouse.env'));
  const { gid } = await qemuIds();
  const floor = new FloorGuest({
    template,
    stateDir: config.stateDir,
    uidBase: config.uidBase,
    slot: config.uidCount - 2,
    gid,
  });
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const times = { create: [] as number[], pause: [] as number[], connect: [] as number[], first: [] as number[] };
  const plain = { save: [] as number[], restore: [] as number[] };
  try {
    say('booting an equal guest on plain libvirt');
    await floor.start();
    for (let run = 1; run <= Number(runs); run++) {
      say(`run ${run} of ${runs}`);
      const { seconds, ...sandbox } = await client.create();
      times.create.push(seconds);
      await client.run(sandbox, LIGHT_USE);
      times.pause.push(await client.pause(sandbox.id));
      const connect = await client.connect(sandbox.id);
      times.connect.push(connect);
      times.first.push(connect + (await client.run(sandbox, 'echo hello')));
      await client.kill(sandbox.id);
      plain.save.push(await floor.save());
      plain.restore.push(await floor.restore());
    }
  } finally {
    await floor.remove();
  }
  const rows: Row[] = [
    row('create', '', 's', times.create),
    row('pause, light use', '< 1 s', 's', times.pause),
    row('connect', '', 's', times.connect),
    row('connect to the output of the first command', '< 2 s', 's', times.first),
    row('plain virsh save + fsync', 'the floor', 's', plain.save),
    row('plain virsh restore until the agent answers', 'the floor', 's', plain.restore),
    ratio('pause against the floor', '<= 1.0 x', times.pause, plain.save),
    ratio('connect against the floor', '<= 1.0 x', times.connect, plain.restore),
    ratio('create against connect', '<= 1.2 x', times.create, times.connect),
  ];
  process.stdout.write(`${table(rows)}\n`);
  if (json !== undefined) await writeFile(json, JSON.stringify(rows, null, 2));
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  },
);
