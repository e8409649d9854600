import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';

const SUITES = ['bookworm', 'bookworm-updates', 'bookworm-backports'];
const DEFAULT_KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/**
 * One-line apt sources of Debian 12 for mmdebstrap, from where this machine itself gets its packages.
 * @throws Error when the machine has no Debian source.
 */
export async function aptSources(aptDir = '/etc/apt'): Promise<string[]> {
  const uri = (await fromStanzas(aptDir)) ?? (await fromLines(aptDir));
  if (uri === undefined) {
    throw new Error(
      `no Debian package source was found in ${aptDir}; add Debian's to it, guests are made from Debian 12`,
    );
  }
  return SUITES.map((suite) => `deb [signed-by=${DEFAULT_KEYRING}] ${uri} ${suite} main`);
}

async function fromStanzas(aptDir: string): Promise<string | undefined> {
  const directory = path.join(aptDir, 'sources.list.d');
  for (const name of await readdir(directory).catch(() => [])) {
    if (!name.endsWith('.sources')) continue;
    for (const stanza of (await readFile(path.join(directory, name), 'utf8')).split(/\n\s*\n/)) {
      const uri = /^URIs:\s*(\S+)/m.exec(stanza)?.[1];
      if (uri !== undefined && /debian-archive-keyring/.test(stanza) && !/security/.test(uri)) return uri;
    }
  }
  return undefined;
}

async function fromLines(aptDir: string): Promise<string | undefined> {
  const text = await readFile(path.join(aptDir, 'sources.list'), 'utf8').catch(() => '');
  return /^deb\s+(?:\[[^\]]*\]\s+)?(\S*\/debian\/?)\s/m.exec(text)?.[1];
}
