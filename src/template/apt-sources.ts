import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';

const RELEASE = 'bookworm';
/** What a guest's packages come from, at its build and later. The kernel is from the backports. */
export const SUITES = [RELEASE, `${RELEASE}-updates`, `${RELEASE}-security`, `${RELEASE}-backports`];
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** An apt source of this machine. */
interface Source {
  uri: string;
  suites: string[];
  isDebian: boolean;
}

/**
 * One-line apt sources of Debian 12 for mmdebstrap and for the guest, from where this machine itself gets its packages.
 * Security updates come from the machine's own source of a security suite. A machine without one has its mirror's
 * `debian-security` beside `debian`, where Debian's mirrors keep it.
 *
 * @throws Error when the machine has no Debian source, or none that leads to security updates.
 */
export async function aptSources(aptDir = '/etc/apt'): Promise<string[]> {
  const sources = (await readSources(aptDir)).filter(({ isDebian }) => isDebian);
  const of = (suffix: string): string | undefined =>
    (
      sources.find(({ suites }) => suites.includes(RELEASE + suffix)) ??
      sources.find(({ suites }) => suites.some((suite) => (suffix === '' ? isRelease(suite) : suite.endsWith(suffix))))
    )?.uri;
  const archive = of('') ?? of('-updates') ?? of('-backports');
  if (archive === undefined) {
    throw new Error(
      `no Debian package source was found in ${aptDir}; add Debian's to it, guests are made from Debian 12`,
    );
  }
  const security = of('-security') ?? besideArchive(archive);
  if (security === undefined) {
    throw new Error(
      `no source of Debian's security updates was found in ${aptDir}, and ${archive} does not tell where they are; ` +
        `add a source with the suite ${RELEASE}-security, guests get their security updates from it`,
    );
  }
  return SUITES.map((suite) => {
    const uri = suite.endsWith('-security') ? security : archive;
    return `deb [signed-by=${KEYRING}] ${uri} ${suite} main`;
  });
}

const isRelease = (suite: string): boolean => /^[a-z]+$/.test(suite);

const besideArchive = (archive: string): string | undefined =>
  /\/debian\/?$/.test(archive) ? archive.replace(/\/debian\/?$/, '/debian-security') : undefined;

async function readSources(aptDir: string): Promise<Source[]> {
  const directory = path.join(aptDir, 'sources.list.d');
  const names = (await readdir(directory).catch(() => [])).sort().map((name) => path.join(directory, name));
  const found: Source[] = [];
  for (const file of [path.join(aptDir, 'sources.list'), ...names]) {
    const text = await readFile(file, 'utf8').catch(() => '');
    if (file.endsWith('.sources')) found.push(...fromStanzas(text));
    else if (file.endsWith('.list')) found.push(...fromLines(text));
  }
  return found;
}

function fromStanzas(text: string): Source[] {
  const withoutComments = text.replace(/^#.*\n?/gm, '');
  return withoutComments.split(/\n\s*\n/).flatMap((stanza) => {
    const words = (field: string): string[] =>
      new RegExp(`^${field}:[ \\t]*(.*(?:\\n[ \\t].*)*)`, 'im').exec(stanza)?.[1]?.split(/\s+/).filter(Boolean) ?? [];
    if (!words('Types').includes('deb') || words('Enabled')[0] === 'no') return [];
    const signedBy = words('Signed-By').join(' ');
    const hasMain = words('Components').includes('main');
    return words('URIs').map((uri) => ({ uri, suites: words('Suites'), isDebian: hasMain && isDebian(uri, signedBy) }));
  });
}

function fromLines(text: string): Source[] {
  return text.split('\n').flatMap((line) => {
    const [, options = '', uri, suite, rest = ''] =
      /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)(.*)/.exec(line.split('#')[0] ?? '') ?? [];
    if (uri === undefined || suite === undefined) return [];
    const signedBy = /signed-by=(\S+)/.exec(options)?.[1] ?? '';
    return [{ uri, suites: [suite], isDebian: /\bmain\b/.test(rest) && isDebian(uri, signedBy) }];
  });
}

/** A source that names its keys is known by them; one that does not, by its directory. */
const isDebian = (uri: string, signedBy: string): boolean =>
  signedBy === '' ? /\/debian(-security)?\/?$/.test(uri) : signedBy.includes('debian-archive');
