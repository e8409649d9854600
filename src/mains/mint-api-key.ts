import { parseArgs } from 'node:util';
import { listKeys, mintKey, revokeKey } from '../api/api-keys.js';
import type { KeyFacts } from '../api/key-store.js';
import { readConfig } from '../config.js';

const USAGE = `usage:
  mint-api-key [mint] [tenant] [--label text]   makes a key (tenant: default) and prints it, once
  mint-api-key list                             ids, tenants, labels and dates
  mint-api-key revoke <id or key>               it opens nothing from then on; tokens of sandboxes go on, rotate those`;

/** Changes the file of API keys, and nothing else: the api follows by itself. */
async function main(): Promise<string> {
  const { apiKeysFile } = readConfig(process.env);
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { label: { type: 'string' } } });
  const [verb, ...rest] = positionals;
  if (verb === 'list' && rest.length === 0) return (await listKeys(apiKeysFile)).map(lineOf).join('\n');
  if (verb === 'revoke') {
    if (rest.length !== 1) throw new Error(USAGE);
    return `revoked ${lineOf(await revokeKey(apiKeysFile, rest[0]!))}`;
  }
  // Without a verb, as ever: the tenant.
  const [tenant = 'default', ...more] = verb === 'mint' ? rest : positionals;
  if (more.length > 0) throw new Error(USAGE);
  return mintKey(apiKeysFile, tenant, values.label);
}

const lineOf = ({ id, tenant, createdAt, label }: KeyFacts): string =>
  [id, tenant, createdAt ?? '-', label ?? ''].join('  ').trimEnd();

main().then(
  (text) => void process.stdout.write(`${text}\n`),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  },
);
