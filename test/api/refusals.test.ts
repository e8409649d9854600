import { request } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ERRORS, type ErrorCode } from '../../workflows/errors.js';
import { FakeWorld } from './fake-world.js';

let world: FakeWorld;
beforeAll(async () => (world = await new FakeWorld().start()));
afterAll(() => world.stop());
beforeEach(() => {
  world.views.clear();
  world.calls.length = 0;
  world.failNext.clear();
  world.unreadable.clear();
});

const ROUTES: [string, string][] = [
  ['POST', '/sandboxes'],
  ['POST', '/v2/sandboxes'],
  ['GET', '/sandboxes'],
  ['GET', '/v2/sandboxes'],
  ['GET', '/sandboxes/i1'],
  ['DELETE', '/sandboxes/i1'],
  ['POST', '/sandboxes/i1/connect'],
  ['POST', '/v2/sandboxes/i1/connect'],
  ['POST', '/sandboxes/i1/resume'],
  ['POST', '/sandboxes/i1/pause'],
  ['POST', '/sandboxes/i1/timeout'],
  ['POST', '/sandboxes/i1/refreshes'],
  ['POST', '/sandboxes/i1/tokens/rotate'],
];
const ONE_SANDBOX = ROUTES.filter(([, path]) => path.includes('i1'));
const BODY: Record<string, object> = { timeout: { timeout: 60 }, connect: { timeout: 60 } };
const bodyOf = (method: string, path: string): object | undefined =>
  method === 'POST' ? (BODY[path.split('/').at(-1) ?? ''] ?? {}) : undefined;

describe('a sandbox that its host cannot believe', () => {
  const damaged = ONE_SANDBOX.filter(([method]) => method !== 'DELETE');

  test.each(damaged)('%s %s: its owner is told so, anybody else that there is none', async (method, path) => {
    for (const [tenant, status, message] of [
      ['a', 500, /damaged or was changed by somebody else/],
      ['b', 404, /was not found/],
    ] as const) {
      world.add('i1', {}, { tenant });
      world.unreadable.add('i1');
      const answer = await world.api(method, path, bodyOf(method, path));
      expect([answer.status, answer.body.message]).toEqual([status, expect.stringMatching(message)]);
    }
    expect(world.calls.filter(({ verb }) => verb !== 'get')).toEqual([]);
  });

  test('is killed by its owner alone', async () => {
    world.add('i1');
    world.unreadable.add('i1');
    expect((await world.api('DELETE', '/sandboxes/i1', undefined, { 'x-api-key': 'key-b' })).status).toBe(404);
    expect((await world.api('DELETE', '/sandboxes/i1')).status).toBe(204);
  });
});

describe('every refusal is JSON with its status as code', () => {
  test.each(ROUTES)('%s %s answers 401 to a missing and to a wrong key', async (method, path) => {
    for (const key of ['', 'key-c']) {
      const { status, body } = await world.api(method, path, undefined, { 'x-api-key': key });
      expect([status, body.code, typeof body.message]).toEqual([401, 401, 'string']);
    }
  });

  test.each(ONE_SANDBOX)('%s %s answers 404 for an unknown id and for another tenant', async (method, path) => {
    world.add('i2', {}, { tenant: 'b' });
    for (const id of ['i1', 'i2', 'I-2', 'x'.repeat(500)]) {
      const { status, body } = await world.api(method, path.replace('i1', id), bodyOf(method, path));
      expect([status, body.code, typeof body.message]).toEqual([404, 404, 'string']);
    }
    expect(world.calls.filter((call) => call.verb !== 'get')).toEqual([]);
  });

  test.each(ROUTES.filter(([method]) => method === 'POST'))(
    '%s %s answers 400 to malformed JSON',
    async (method, path) => {
      world.add('i1');
      for (const body of ['{"a":', '[]', '"text"', '7', 'null x']) {
        const answer = await world.api(method, path, body);
        expect([answer.status, answer.body.code, typeof answer.body.message]).toEqual([400, 400, 'string']);
      }
    },
  );

  test.each(['connect', 'timeout', 'resume'])('%s answers 400 to a bad timeout', async (verb) => {
    world.add('i1', { status: verb === 'timeout' ? 'running' : 'paused' });
    for (const timeout of [...(verb === 'timeout' ? [] : [0]), -1, 'x', 1.5, 86_401, [], {}]) {
      const { status, body } = await world.api('POST', `/sandboxes/i1/${verb}`, { timeout });
      expect([timeout, status, body.code]).toEqual([timeout, 400, 400]);
    }
    expect(world.calls).toEqual([]);
  });

  test('v1 connect and timeout need a timeout', async () => {
    world.add('i1');
    expect((await world.api('POST', '/sandboxes/i1/connect', {})).status).toBe(400);
    expect((await world.api('POST', '/sandboxes/i1/timeout', {})).status).toBe(400);
    expect((await world.api('POST', '/v2/sandboxes/i1/connect', {})).status).toBe(200);
  });

  test('an unknown route, a body too large and a path that is no text are refused in the same shape', async () => {
    for (const [method, path, body, expected] of [
      ['GET', '/nothing', undefined, 404],
      ['PUT', '/sandboxes/i1/nothing', {}, 404],
      ['PATCH', '/nothing', {}, 404],
      ['GET', '/sandboxes/%E0%A4%A', undefined, 400],
      ['POST', '/sandboxes', `{"a":"${'x'.repeat(600_000)}"}`, 413],
    ] as const) {
      const answer = await world.api(method, path, body);
      expect([path, answer.status, answer.body.code]).toEqual([path, expected, expected]);
    }
  });

  test.each(Object.keys(ERRORS) as ErrorCode[])('%s from the workflow has the status of the table', async (code) => {
    world.add('i1');
    world.failNext.set('pause', code);
    const { status, headers, body } = await world.api('POST', '/sandboxes/i1/pause');
    expect(status).toBe(ERRORS[code].status);
    expect(body).toEqual({ code: status, message: 'pause of i1 failed in a test' });
    // Nothing happened, and a repeat would find the quota as full.
    const mayRetry = ERRORS[code].nothingHappened && code !== 'QuotaExceeded';
    expect(headers.get('should-retry')).toBe(mayRetry ? null : 'false');
    expect(status === 503).toBe(code === 'Unavailable');
  });

  test('a fault of our own is a 500 that tells nothing of the inside', async () => {
    world.add('i1');
    world.views.get('i1')!.startedAt = 9e15;
    const { status, headers, body } = await world.api('GET', '/sandboxes/i1');
    expect([status, headers.get('should-retry')]).toEqual([500, 'false']);
    expect(body).toEqual({ code: 500, message: expect.not.stringContaining('Invalid') });
  });

  test('a client that goes away in the middle of its body harms nobody', async () => {
    await new Promise<void>((resolve) => {
      const broken = request(`${world.apiUrl}/sandboxes`, { method: 'POST', headers: { 'x-api-key': 'key-a' } });
      broken.on('error', () => resolve());
      broken.write('{"templateID":');
      setTimeout(() => broken.destroy(), 20);
    });
    expect((await world.api('GET', '/v2/sandboxes')).status).toBe(200);
  });
});

test('health answers without a key', async () => {
  expect((await fetch(`${world.apiUrl}/health`)).status).toBe(200);
});

describe('what this service does not have', () => {
  test.each([
    ['POST', '/volumes'],
    ['GET', '/volumes/v1'],
    ['GET', '/volumecontent/v1/dir'],
    ['GET', '/secrets'],
    ['DELETE', '/secrets/s1'],
    ['GET', '/snapshots'],
    ['POST', '/sandboxes/i1/snapshots'],
    ['POST', '/sandboxes/i1/fork'],
    ['PUT', '/sandboxes/i1/network'],
    ['POST', '/v3/templates'],
    ['POST', '/v2/templates/t1/builds/b1'],
    ['GET', '/templates/t1/builds/b1/status'],
    ['GET', '/templates/t1/files/abc'],
    ['DELETE', '/templates/acme%2Fmy-snap%3Av1'],
    ['PATCH', '/v2/templates/t1'],
    ['POST', '/templates/tags'],
    ['GET', '/templates/t1/tags'],
  ])('%s %s answers 501 with JSON that names the feature, and 401 without a key', async (method, path) => {
    const body = ['POST', 'PUT', 'PATCH'].includes(method) ? {} : undefined;
    const answer = await world.api(method, path, body);
    expect(answer).toMatchObject({
      status: 501,
      body: { code: 501, message: expect.stringMatching(/does not offer/) },
    });
    expect((await world.api(method, path, body, { 'x-api-key': '' })).status).toBe(401);
  });

  test.each([
    ['PUT', '/sandboxes', 'POST, GET'],
    ['PATCH', '/sandboxes/i1', 'GET, DELETE'],
    ['GET', '/sandboxes/i1/pause', 'POST'],
    ['DELETE', '/v2/templates', 'GET'],
  ])('%s %s answers 405 and says which methods the path has', async (method, path, allowed) => {
    const { status, headers, body } = await world.api(method, path);
    expect([status, body.code, headers.get('allow')]).toEqual([405, 405, allowed]);
  });
});

describe('what a refusal says', () => {
  test('a wrong key is asked for by the header that it belongs in', async () => {
    const { headers } = await world.api('GET', '/sandboxes', undefined, { 'x-api-key': 'wrong' });
    expect(headers.get('www-authenticate')).toContain('X-API-Key');
  });

  test('too many requests at once say when to come back', async () => {
    world.add('i1');
    world.failNext.set('pause', 'TooManyRequests');
    const { status, headers } = await world.api('POST', '/sandboxes/i1/pause', {});
    expect([status, headers.get('retry-after')]).toEqual([429, '1']);
  });
});
