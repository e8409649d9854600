import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { aptSources } from '../../src/template/apt-sources.js';

let aptDir: string;
beforeEach(async () => {
  aptDir = await mkdtemp(path.join(tmpdir(), 'apt-'));
  await mkdir(path.join(aptDir, 'sources.list.d'));
});
afterEach(() => rm(aptDir, { recursive: true }));

const stanza = (uri: string, suites: string, keys = '/usr/share/keyrings/debian-archive-keyring.gpg') =>
  `Types: deb\n# http://elsewhere.invalid/archive\nURIs: ${uri}\nSuites: ${suites}\nComponents: main\nSigned-By: ${keys}\n`;
const write = (name: string, ...texts: string[]) => writeFile(path.join(aptDir, name), texts.join('\n'));

/** Suite by suite, where its packages come from. */
async function suites(): Promise<Record<string, string>> {
  const lines = (await aptSources(aptDir)).map((line) => /^deb \[signed-by=\S+\] (\S+) (\S+) main$/.exec(line));
  return Object.fromEntries(lines.map((found) => [found?.[2], found?.[1]]));
}
const at = (archive: string, security: string) => ({
  bookworm: archive,
  'bookworm-updates': archive,
  'bookworm-security': security,
  'bookworm-backports': archive,
});

test("a guest's sources have the security suite where the machine's own have it, whatever that host is called", async () => {
  await write(
    'sources.list.d/debian.sources',
    stanza('http://mirror.invalid/debian', 'bookworm bookworm-updates'),
    stanza('http://mirror.invalid/debian-security', 'bookworm-security'),
  );
  expect(await suites()).toEqual(at('http://mirror.invalid/debian', 'http://mirror.invalid/debian-security'));
});

test('an archive whose address has the word security in it is no source of security updates for that', async () => {
  await write(
    'sources.list.d/debian.sources',
    stanza('http://security-team.invalid/debian', 'bookworm bookworm-updates'),
    stanza('http://updates.invalid/pub', 'bookworm-security'),
  );
  expect(await suites()).toEqual(at('http://security-team.invalid/debian', 'http://updates.invalid/pub'));
});

test('sources of one line count like stanzas, in any file; comments and other distributions do not', async () => {
  await write(
    'sources.list',
    '# deb http://old.invalid/debian bookworm main',
    'deb http://mirror.invalid/debian/ bookworm main contrib # the mirror',
    'deb [arch=amd64 signed-by=/etc/apt/keyrings/other.gpg] http://other.invalid/debian bookworm stable main',
  );
  await write(
    'sources.list.d/security.list',
    'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.invalid/sec bookworm-security main',
  );
  expect(await suites()).toEqual(at('http://mirror.invalid/debian/', 'http://mirror.invalid/sec'));
});

test('where the machine has no security suite, it is beside the archive on the same mirror', async () => {
  await write('sources.list.d/debian.sources', stanza('http://mirror.invalid/debian', 'bookworm'));
  expect(await suites()).toEqual(at('http://mirror.invalid/debian', 'http://mirror.invalid/debian-security'));
});

test('a machine of a later release has the same places; sources that are switched off are none', async () => {
  await write(
    'sources.list.d/debian.sources',
    `Enabled: no\n${stanza('http://off.invalid/debian', 'bookworm')}`,
    stanza('http://mirror.invalid/d', 'trixie trixie-updates'),
    stanza('http://mirror.invalid/s', 'trixie-security'),
  );
  expect(await suites()).toEqual(at('http://mirror.invalid/d', 'http://mirror.invalid/s'));
});

test('a machine that leads to no packages of Debian, or to no security updates, is told what to add', async () => {
  await write(
    'sources.list.d/other.sources',
    stanza('http://other.invalid/debian', 'bookworm', '/usr/share/other.gpg'),
  );
  await expect(aptSources(aptDir)).rejects.toThrow('no Debian package source was found');
  await write('sources.list.d/debian.sources', stanza('http://mirror.invalid/d', 'bookworm'));
  await expect(aptSources(aptDir)).rejects.toThrow('add a source with the suite bookworm-security');
});
