import { X509Certificate } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { rootCertificates } from 'node:tls';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readCertificate } from '../../src/tls/certificate-files.js';
import { ensureLocalCertificate, type LocalCertificateFiles } from '../../src/tls/local-certificate.js';

const NAMES = ['localhost', 'dormouse.localhost', '*.dormouse.localhost', '127.0.0.1', '::1'];

let directory: string;
let files: LocalCertificateFiles;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'dormouse-tls-'));
  const at = (name: string): string => path.join(directory, 'tls', name);
  files = { certFile: at('server.pem'), keyFile: at('server.key'), caFile: at('ca.pem'), bundleFile: at('bundle.pem') };
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const read = async (file: string): Promise<X509Certificate> => new X509Certificate(await readFile(file));

test('is good for every name, signed by its authority, and its key is for the owner only', async () => {
  await ensureLocalCertificate(files, NAMES);
  const [certificate, authority] = [await read(files.certFile), await read(files.caFile)];
  expect(certificate.verify(authority.publicKey) && certificate.checkIssued(authority)).toBe(true);
  expect([authority.ca, certificate.ca]).toEqual([true, false]);
  for (const host of ['localhost', 'dormouse.localhost', 'api.dormouse.localhost', '49983-i1abc.dormouse.localhost']) {
    expect([host, certificate.checkHost(host)]).not.toContain(undefined);
  }
  expect(certificate.checkHost('a.b.dormouse.localhost')).toBeUndefined();
  expect(certificate.checkIP('127.0.0.1') && certificate.checkIP('::1')).toBeTruthy();
  expect(Date.parse(certificate.validTo) - Date.now()).toBeGreaterThan(800 * 86_400_000);
  expect((await stat(files.keyFile)).mode & 0o777).toBe(0o600);
  await readCertificate(files);
});

test('leaves no key of the authority behind: it can sign nothing else', async () => {
  await ensureLocalCertificate(files, NAMES);
  const left = await readdir(path.dirname(files.certFile));
  expect(left.sort()).toEqual(['bundle.pem', 'ca.pem', 'server.key', 'server.pem']);
  const texts = await Promise.all(left.map((name) => readFile(path.join(directory, 'tls', name), 'utf8')));
  expect(texts.join('').match(/PRIVATE KEY-----\n/g)).toHaveLength(2);
});

test('is kept at the next start, and made anew for other names or when a file is damaged', async () => {
  await ensureLocalCertificate(files, NAMES);
  const first = (await read(files.certFile)).serialNumber;
  await ensureLocalCertificate(files, NAMES);
  expect((await read(files.certFile)).serialNumber).toBe(first);
  await ensureLocalCertificate(files, [...NAMES, 'other.test']);
  const second = (await read(files.certFile)).serialNumber;
  expect(second).not.toBe(first);
  await rm(files.keyFile);
  await ensureLocalCertificate(files, [...NAMES, 'other.test']);
  expect((await read(files.certFile)).serialNumber).not.toBe(second);
  await readCertificate(files);
});

test('the bundle holds the authority beside those that are trusted anyway', async () => {
  await ensureLocalCertificate(files, NAMES);
  const bundle = await readFile(files.bundleFile, 'utf8');
  expect(bundle.endsWith(await readFile(files.caFile, 'utf8'))).toBe(true);
  expect(bundle.match(/BEGIN CERTIFICATE/g)?.length).toBeGreaterThan(Math.min(50, rootCertificates.length));
});
