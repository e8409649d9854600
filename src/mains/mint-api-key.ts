import { mintKey } from '../api/api-keys.js';
import { readConfig } from '../config.js';

/** Makes an API key for the tenant named on the command line (default `default`) and prints it, once. */
mintKey(readConfig(process.env).apiKeysFile, process.argv[2] ?? 'default').then(
  (key) => void process.stdout.write(`${key}\n`),
  (error: unknown) => {
    process.stderr.write(`no API key was made: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  },
);
