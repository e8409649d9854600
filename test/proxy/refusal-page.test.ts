import { request } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { accessToken } from '../../src/keys/access-token.js';
import { signFile } from '../../src/keys/file-signature.js';
import { refusalPage } from '../../src/relay/refusal-page.js';
import { FakeWorld, TOKENS_KEY } from '../api/fake-world.js';

let world: FakeWorld;
beforeAll(async () => (world = await new FakeWorld().start()));
afterAll(() => world.stop());
beforeEach(() => {
  world.views.clear();
  world.add('i1');
  world.add('asleep', { status: 'paused' });
  world.add('changing', { status: 'pausing' });
  world.add('closed', {}, { allowPublicTraffic: false });
});

const BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8';
/** Unlike fetch, sends these headers and no others. */
const at = (
  id: string,
  port: number,
  path: string,
  headers: Record<string, string>,
  method = 'GET',
): Promise<Response> =>
  new Promise((resolve, reject) => {
    const routing = { 'E2b-Sandbox-Id': id, 'E2b-Sandbox-Port': String(port) };
    const outgoing = request(world.proxyUrl + path, { method, headers: { ...routing, ...headers } }, (answer) => {
      let text = '';
      answer.on('data', (chunk) => (text += String(chunk)));
      answer.on('end', () =>
        resolve(
          new Response(text, { status: answer.statusCode ?? 0, headers: answer.headers as Record<string, string> }),
        ),
      );
    });
    outgoing.on('error', reject).end();
  });

const CASES: [string, string, number, string, number][] = [
  ['unknown', 'gone', 8080, '/', 502],
  ['asleep', 'asleep', 8080, '/', 502],
  ['changing its state', 'changing', 8080, '/', 409],
  ['running with the port closed', 'i1', 8080, '/', 502],
  ['closed to public traffic', 'closed', 8080, '/', 403],
  ['asked for an internal route', 'i1', 49_983, '/init', 404],
  ['asked for a bad port', 'i1', 0, '/', 400],
];

describe.each(CASES)('a sandbox that is %s', (_name, id, port, path, status) => {
  test(`answers a browser's navigation with a page of status ${status}, and everybody else with JSON`, async () => {
    const page = await at(id, port, path, { accept: BROWSER, 'sec-fetch-mode': 'navigate' });
    expect([page.status, page.headers.get('content-type')]).toEqual([status, 'text/html; charset=utf-8']);
    const text = await page.text();
    const json = await at(id, port, path, { accept: '*/*' });
    expect([json.status, json.headers.get('content-type')]).toEqual([status, 'application/json']);
    const body = (await json.json()) as { message: string; code: number };
    expect(body.code).toBe(status);
    expect(text).toContain(`<title>${status} `);
    expect(text.replaceAll('&quot;', '"')).toContain(body.message);
  });

  test.each([
    ['a client that takes anything', { accept: '*/*' }, 'GET'],
    ['a client that says nothing', {}, 'GET'],
    ['a client of JSON', { accept: 'application/json' }, 'GET'],
    ['a script in a page', { accept: BROWSER, 'sec-fetch-mode': 'cors' }, 'GET'],
    ['a POST', { accept: BROWSER }, 'POST'],
  ])('answers %s with JSON', async (_who, headers, method) => {
    const response = await at(id, port, path, headers as unknown as Record<string, string>, method);
    expect([response.status, response.headers.get('content-type')]).toEqual([status, 'application/json']);
  });
});

test('what a client sent stands in a page as text only', () => {
  const page = refusalPage({
    status: 400,
    body: { sandboxId: '"><b>', message: '<script>alert(1)</script>', code: 400 },
  });
  expect(page).not.toMatch(/<script|<b>/);
});

describe('what is refused in the agent’s place is no page, to a browser that goes there either:', () => {
  const ended = '1000000000';
  const signature = signFile(
    { path: '/a', operation: 'read', user: '', expiration: ended },
    accessToken(TOKENS_KEY, { id: 'i1' }),
  );
  const expired = `/files?${new URLSearchParams({ path: '/a', signature, signature_expiration: ended })}`;
  test.each([
    ['a signature that has ended', expired, 'signature is already expired'],
    ['a wrong signature', '/files?path=/a&signature=v1_x', 'the signature is wrong'],
    ['no token', '/files?path=/a', 'the access token is missing'],
  ])('%s', async (_what, path, message) => {
    const answer = await at('i1', 49_983, path, { accept: BROWSER, 'sec-fetch-mode': 'navigate' });
    expect([answer.status, await answer.text()]).toEqual([401, `{"code":401,"message":"${message}"}`]);
  });

  test('a signature that has ended, at the address that names no sandbox', async () => {
    const answer = await fetch(world.proxyUrl + expired, { headers: { accept: BROWSER } });
    expect([answer.status, await answer.text()]).toEqual([
      401,
      '{"code":401,"message":"signature is already expired"}',
    ]);
  });
});

test('the page of an agent’s own answer is the agent’s', async () => {
  await world.serveGuest((_request, response) => void response.writeHead(502).end('mine'));
  const response = await at('i1', 49_983, '/files', {
    accept: BROWSER,
    'x-access-token': accessToken(TOKENS_KEY, { id: 'i1' }),
  });
  expect([response.status, await response.text()]).toEqual([502, 'mine']);
});
