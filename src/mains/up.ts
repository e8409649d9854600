import { chmod, chown, stat, writeFile } from 'node:fs/promises';
import { readConfig } from '../config.js';
import { prepareHost } from '../setup/prepare-host.js';
import { shellFile, snippet } from '../setup/client-settings.js';
import { firstKey } from '../setup/first-key.js';
import { Service } from '../setup/service.js';

/** `make up`: prepares the machine, starts every role, stays in the foreground until Ctrl-C. */
async function main(): Promise<void> {
  const config = readConfig(process.env);
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  await prepareHost(config, say);
  const apiKey = await firstKey(config.apiKeysFile, '.dormouse.env');
  const service = new Service(config, process.env, say);
  const stopping = new Promise<void>((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
  try {
    await service.start();
    await writeFile('.dormouse.env', shellFile(config, apiKey), { mode: 0o600 });
    await chmod('.dormouse.env', 0o600);
    // Under sudo, too, it is for the person whose checkout this is.
    const { uid, gid } = await stat('.');
    await chown('.dormouse.env', uid, gid);
    // A journal or a log file keeps what is printed; a terminal shows it to the person who started this.
    say(snippet(config, process.stdout.isTTY ? apiKey : '(in .dormouse.env)'));
    await stopping;
  } finally {
    say('stopping: guests run on, and are found again at the next start');
    await service.stop();
  }
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`\ndormouse: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  },
);
