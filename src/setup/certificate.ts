import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { Config } from '../config.js';
import { readCertificate } from '../tls/certificate-files.js';
import { ensureLocalCertificate } from '../tls/local-certificate.js';

/**
 * For `DORMOUSE_TLS=local`: makes a certificate for this machine by all its names, and the domain with everything one
 * level below. One that was given is looked at.
 *
 * @throws Error that names the file that cannot be used
 */
export async function prepareCertificate(
  { tls, domain, listen }: Pick<Config, 'tls' | 'domain' | 'listen'>,
  say: (line: string) => void,
): Promise<void> {
  if (tls === undefined) return;
  const { certFile, keyFile, local } = tls;
  if (local !== undefined) {
    const own = isIP(listen) !== 0 && listen !== '0.0.0.0' && listen !== '::' ? [listen] : [];
    const names = new Set(['localhost', domain, `*.${domain}`, '127.0.0.1', '::1', ...own]);
    return ensureLocalCertificate({ certFile, keyFile, ...local }, [...names]);
  }
  const certificate = new X509Certificate((await readCertificate({ certFile, keyFile })).cert);
  const missing = [`api.${domain}`, `8080-i0.${domain}`].filter((host) => certificate.checkHost(host) === undefined);
  if (missing.length > 0) {
    say(
      `warning: ${certFile} does not name ${missing.join(' or ')}: clients will refuse it there. It needs *.${domain}`,
    );
  }
  if (Date.parse(certificate.validTo) < Date.now()) say(`warning: ${certFile} expired on ${certificate.validTo}`);
}
