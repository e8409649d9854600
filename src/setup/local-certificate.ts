import { isIP } from 'node:net';
import type { Config } from '../config.js';
import { ensureLocalCertificate } from '../tls/local-certificate.js';

/** For `DORMOUSE_TLS=local`: this machine by all its names, and the domain with everything one level below. */
export async function prepareLocalCertificate({ tls, domain, listen }: Config): Promise<void> {
  if (tls?.local === undefined) return;
  const { certFile, keyFile, local } = tls;
  const own = isIP(listen) !== 0 && listen !== '0.0.0.0' && listen !== '::' ? [listen] : [];
  const names = new Set(['localhost', domain, `*.${domain}`, '127.0.0.1', '::1', ...own]);
  await ensureLocalCertificate({ certFile, keyFile, ...local }, [...names]);
}
