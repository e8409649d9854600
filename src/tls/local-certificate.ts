import 'reflect-metadata';
import { X509Certificate, webcrypto } from 'node:crypto';
import { chmod, mkdir, readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import path from 'node:path';
import { rootCertificates } from 'node:tls';
import * as x509 from '@peculiar/x509';
import { writeDurably } from '../durable-file.js';

const DAY_MS = 86_400_000;
/** More than this a system's trust store does not accept of a certificate that was added by hand. */
const VALID_MS = 825 * DAY_MS;
const RENEW_BEFORE_MS = 30 * DAY_MS;
const SYSTEM_BUNDLE = '/etc/ssl/certs/ca-certificates.crt';
const CURVE = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

export interface LocalCertificateFiles {
  certFile: string;
  keyFile: string;
  /** The authority's certificate. */
  caFile: string;
  /** It, and those that the system trusts anyway: for clients that are told of one file instead of one more. */
  bundleFile: string;
}

/**
 * A certificate for these names, and the authority that signed it and nothing else: its key is forgotten at once, so
 * that whoever trusts it trusts this one certificate. Kept until it is about to expire or the names are others.
 *
 * @param names host names, `*.`-wildcards and addresses
 */
export async function ensureLocalCertificate(files: LocalCertificateFiles, names: readonly string[]): Promise<void> {
  await mkdir(path.dirname(files.certFile), { recursive: true });
  await chmod(path.dirname(files.certFile), 0o711);
  if (!(await isGood(files, names))) await make(files, names);
  const system = await readFile(SYSTEM_BUNDLE, 'utf8').catch(() => rootCertificates.join('\n'));
  await writeDurably(files.bundleFile, `${system.trimEnd()}\n${await readFile(files.caFile, 'utf8')}`, 0o644);
}

async function isGood(
  { certFile, keyFile, caFile }: LocalCertificateFiles,
  names: readonly string[],
): Promise<boolean> {
  try {
    const cert = new X509Certificate(await readFile(certFile));
    const ca = new X509Certificate(await readFile(caFile));
    await chmod(keyFile, 0o600);
    const covers = new Set(cert.subjectAltName?.split(', ').map((name) => name.replace(/^(DNS|IP Address):/, '')));
    const same = covers.size === names.length && names.every((name) => covers.has(asShown(name)));
    return same && cert.verify(ca.publicKey) && Date.parse(cert.validTo) > Date.now() + RENEW_BEFORE_MS;
  } catch {
    // Absent or unreadable: made anew.
    return false;
  }
}

/** Node shows IPv6 addresses in full. */
const asShown = (name: string): string => (name === '::1' ? '0:0:0:0:0:0:0:1' : name);

async function make(files: LocalCertificateFiles, names: readonly string[]): Promise<void> {
  const newKeys = (): Promise<webcrypto.CryptoKeyPair> => webcrypto.subtle.generateKey(CURVE, true, ['sign', 'verify']);
  const [authorityKeys, keys] = [await newKeys(), await newKeys()];
  const validity = { notBefore: new Date(Date.now() - DAY_MS), notAfter: new Date(Date.now() + VALID_MS) };
  const authority = await x509.X509CertificateGenerator.createSelfSigned(
    {
      ...validity,
      name: `CN=Dormouse local authority ${new Date().toISOString().slice(0, 10)}`,
      keys: authorityKeys,
      signingAlgorithm: CURVE,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
        await x509.SubjectKeyIdentifierExtension.create(authorityKeys.publicKey, false, webcrypto as never),
      ],
    },
    webcrypto as never,
  );
  const certificate = await x509.X509CertificateGenerator.create(
    {
      ...validity,
      subject: 'CN=Dormouse',
      issuer: authority.subject,
      publicKey: keys.publicKey,
      signingKey: authorityKeys.privateKey,
      signingAlgorithm: CURVE,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        new x509.SubjectAlternativeNameExtension(
          names.map((name) => ({ type: isIP(name) === 0 ? ('dns' as const) : ('ip' as const), value: name })),
        ),
        await x509.AuthorityKeyIdentifierExtension.create(authorityKeys.publicKey, false, webcrypto as never),
      ],
    },
    webcrypto as never,
  );
  const key = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  // The certificate last: with it, and not before, the set is whole.
  await writeDurably(files.keyFile, `${x509.PemConverter.encode(key, 'PRIVATE KEY')}\n`, 0o600);
  await writeDurably(files.caFile, `${authority.toString('pem')}\n`, 0o644);
  await writeDurably(files.certFile, `${certificate.toString('pem')}\n`, 0o644);
}
