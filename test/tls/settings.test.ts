import { describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config.js';
import { clientUrls, shellFile, snippet } from '../../src/setup/client-settings.js';

const config = (env: Record<string, string>) => readConfig({ DORMOUSE_STATE_DIR: '/state', ...env });

describe('without a word about TLS', () => {
  test('everything is HTTP, and nothing is said of certificates', () => {
    const plain = config({});
    expect(plain.tls).toBeUndefined();
    expect([plain.domain, plain.publicDomain]).toEqual(['localhost', 'localhost:3001']);
    expect(clientUrls(plain)).toMatchObject({ api: 'http://127.0.0.1:3000', proxy: 'http://127.0.0.1:3001' });
    expect(shellFile(plain, 'k') + snippet(plain, 'k')).not.toMatch(/SSL_CERT_FILE|NODE_EXTRA_CA_CERTS/);
  });
});

describe('DORMOUSE_TLS=local', () => {
  test('makes HTTPS addresses and one line that makes the SDKs trust them', () => {
    const local = config({ DORMOUSE_TLS: 'local' });
    expect(clientUrls(local)).toMatchObject({ api: 'https://localhost:3000', proxy: 'https://localhost:3001' });
    expect(local.publicDomain).toBe('dormouse.localhost:3001');
    expect(snippet(local, 'k')).toContain(
      '\n  export SSL_CERT_FILE=/state/tls/ca-bundle.pem NODE_EXTRA_CA_CERTS=/state/tls/ca.pem\n',
    );
    expect(shellFile(local, 'k')).toContain('export SSL_CERT_FILE=/state/tls/ca-bundle.pem\n');
  });

  test('needs a domain under which a wildcard counts', () => {
    expect(() => config({ DORMOUSE_TLS: 'local', DORMOUSE_DOMAIN: 'localhost' })).toThrow(/with a dot/);
    expect(config({ DORMOUSE_TLS: 'local', DORMOUSE_DOMAIN: 'a.test:8443' })).toMatchObject({
      ...{ domain: 'a.test', publicDomain: 'a.test:8443' },
    });
  });
});

describe('a certificate that is given', () => {
  const given = { DORMOUSE_TLS_CERT_FILE: '/c', DORMOUSE_TLS_KEY_FILE: '/k', DORMOUSE_DOMAIN: 'sandboxes.example' };

  test('makes addresses under its domain, without the port where it is the usual one', () => {
    const urls = clientUrls(config({ ...given, DORMOUSE_PROXY_PORT: '443' }));
    expect(urls).toMatchObject({
      api: 'https://api.sandboxes.example:3000',
      proxy: 'https://sandbox.sandboxes.example',
    });
    expect(shellFile(config(given), 'k')).not.toContain('SSL_CERT_FILE');
  });

  test.each([
    [{ DORMOUSE_TLS_CERT_FILE: '/c' }, /go together/],
    [{ DORMOUSE_TLS_KEY_FILE: '/k' }, /go together/],
    [{ ...given, DORMOUSE_TLS: 'local' }, /DORMOUSE_TLS=local/],
    [{ DORMOUSE_TLS: 'yes' }, /DORMOUSE_TLS/],
    [{ DORMOUSE_DOMAIN: 'two words' }, /DORMOUSE_DOMAIN/],
  ])('%o is refused at the start', (env, message) => {
    expect(() => config(env as Record<string, string>)).toThrow(message);
  });
});
