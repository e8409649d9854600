import { describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config.js';

describe('a service that others reach', () => {
  test.each(['0.0.0.0', '::', '192.0.2.7', 'box.example'])('does not start on %s without a certificate', (listen) => {
    expect(() => readConfig({ DORMOUSE_LISTEN: listen })).toThrow(/in the clear.*DORMOUSE_TLS/s);
  });

  test('starts there with a certificate, or where plain HTTP was asked for', () => {
    expect(readConfig({ DORMOUSE_LISTEN: '0.0.0.0', DORMOUSE_TLS: 'local' }).listen).toBe('0.0.0.0');
    expect(readConfig({ DORMOUSE_LISTEN: '0.0.0.0', DORMOUSE_PLAIN_HTTP: 'yes' }).listen).toBe('0.0.0.0');
  });

  test.each(['127.0.0.1', '127.0.0.2', '::1', 'localhost'])('needs none on %s', (listen) => {
    expect(readConfig({ DORMOUSE_LISTEN: listen }).listen).toBe(listen);
  });
});

describe('the state directory', () => {
  test.each([
    ['/srv/a,b', /comma/],
    ['/srv/a\nb', /control character/],
    ['srv/a', /must begin with "\/"/],
    [`/${'a'.repeat(80)}`, /at most \d+ bytes/],
  ])('is refused where QEMU or a socket could not be below %j', (directory, why) => {
    expect(() => readConfig({ DORMOUSE_STATE_DIR: directory })).toThrow(why);
  });

  test('a template directory with a comma is refused, too', () => {
    expect(() => readConfig({ DORMOUSE_TEMPLATE_DIR: '/srv/a,b' })).toThrow(/DORMOUSE_TEMPLATE_DIR.*comma/);
  });
});

describe('limits of tenants', () => {
  test('are numbers, or off', () => {
    const { tenantLimits } = readConfig({ DORMOUSE_TENANT_CPUS: '8', DORMOUSE_TENANT_RUNNING_SANDBOXES: 'off' });
    expect(tenantLimits).toMatchObject({ cpus: 8, runningSandboxes: null });
    expect(readConfig({ DORMOUSE_TENANT_RUNNING_SANDBOXES: '0' }).tenantLimits.runningSandboxes).toBe(0);
  });

  test.each([
    ['DORMOUSE_TENANT_CPUS', 'many'],
    ['DORMOUSE_TENANT_MEMORY_MIB', '-1'],
    ['DORMOUSE_TENANT_REQUESTS_PER_SECOND', '0'],
  ])('%s=%s is refused', (variable, value) => {
    expect(() => readConfig({ [variable]: value })).toThrow(variable);
  });
});
