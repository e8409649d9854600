import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ruleset, type GuardRules } from '../../src/guard/rules.js';
import { REDIRECTED_MARK } from '../../src/guard/wall-rules.js';
import { openWall } from '../../src/guard/wall.js';
import { Neighbours } from './neighbours.js';

const UID = 1_900_000_001;
const PORT = 8082;
const AGENT_PORT = 8083;
const hosts = new Neighbours('wall');
const run = hosts.at(1);
const rules: GuardRules = {
  ...{ table: 'dormouse', uids: [UID, UID + 9], qemuUid: UID + 20, allowSmtp: false },
  ...{ agents: { network: '127.64.0.0/10', port: AGENT_PORT }, resolvers: [], allowPrivate: [] },
};
let wanted = rules;
const wall = openWall({ wanted: async () => wanted, run });

const LINK_LOCAL = '169.254.169.254';
beforeAll(async () => {
  await hosts.start();
  await hosts.addresses([LINK_LOCAL, '198.51.100.9', 'fd00:ec2::254']);
  for (const number of [1, 2] as const) await hosts.serve(number, PORT);
  await hosts.serve(2, 53);
  await hosts.serve(1, AGENT_PORT, { address: '127.64.0.9', uid: UID });
});
beforeEach(async () => {
  wanted = rules;
  await wall.ensure();
});
afterAll(() => hosts.stop());

const ruleList = (family: 4 | 6): Promise<string> => run('ip', [`-${family}`, 'rule', 'list']);

describe('with every rule of the packet filter flushed', () => {
  beforeAll(async () => {
    await run('nft', ['-f', '-'], ruleset(rules, []));
    await run('nft', ['flush', 'ruleset']);
  });

  // The last one: to the kernel it means the loopback.
  test.each(['127.0.0.1', '::1', '127.64.0.9', '0.0.0.0'])(
    "a guest does not reach the host's loopback at %s",
    async (address) => {
      const port = address === '127.64.0.9' ? AGENT_PORT : PORT;
      expect(await hosts.connects(address, port, 0)).toBe(true);
      expect(await hosts.connects(address, port, UID)).toBe(false);
    },
  );

  test.each([LINK_LOCAL, 'fd00:ec2::254', '10.9.0.2'])('a guest does not reach %s', async (address) => {
    expect(await hosts.connects(address, PORT, 0)).toBe(true);
    expect(await hosts.connects(address, PORT, UID)).toBe(false);
  });

  test.each(['198.51.100.9', '2001:db8:9::2'])('a guest reaches the public address %s', async (address) => {
    expect(await hosts.connects(address, PORT, UID)).toBe(true);
  });

  test('a guest reaches a private network that is allowed, and there too nothing of the host', async () => {
    wanted = { ...rules, allowPrivate: ['10.9.0.0/24'] };
    await wall.ensure();
    expect(await hosts.connects('10.9.0.2', PORT, UID)).toBe(true);
    expect(await hosts.connects('10.9.0.1', PORT, UID)).toBe(false);
    expect(await hosts.connects('10.9.0.1', PORT, 0)).toBe(true);
  });

  test("a guest reaches the host's resolver on port 53 only, and the wall follows another one", async () => {
    wanted = { ...rules, resolvers: ['10.9.0.2', '198.51.100.53'] };
    expect(await wall.ensure()).toContain('other resolvers');
    expect(await hosts.connects('10.9.0.2', 53, UID)).toBe(true);
    expect(await hosts.connects('10.9.0.2', PORT, UID)).toBe(false);
    wanted = rules;
    await wall.ensure();
    expect(await hosts.connects('10.9.0.2', 53, UID)).toBe(false);
  });

  test('every other user reaches what it did', async () => {
    for (const address of ['127.0.0.1', '::1', '10.9.0.2', LINK_LOCAL])
      expect(await hosts.connects(address, PORT, UID + 50)).toBe(true);
  });
});

test.each(['198.51.100.9', '2001:db8:9::2'])(
  'a rule for one user can lead %s to a proxy on the loopback, and the wall lets it',
  async (address) => {
    const proxied = `meta skuid ${UID} tcp dport 443`;
    await run(
      'nft',
      ['-f', '-'],
      `table inet egress {
         chain marked {
           type route hook output priority -150
           ${proxied} meta mark set ${REDIRECTED_MARK}
         }
         chain led {
           type nat hook output priority -100
           ${proxied} redirect to :${PORT}
         }
       }`,
    );
    expect(await hosts.connects(address, 443, UID)).toBe(true);
    expect(await hosts.connects(address, 443, UID + 1)).toBe(false);
    expect(await hosts.connects('127.0.0.1', PORT, UID)).toBe(false);
    await run('nft', ['flush', 'ruleset']);
  },
);

describe('what somebody does to the rules of routing', () => {
  test.each<[string, () => Promise<unknown>]>([
    ['one rule is removed', () => run('ip', ['rule', 'del', 'to', '127.0.0.0/8', 'protocol', '216'])],
    ['the rules are flushed', () => run('ip', ['rule', 'flush'])],
    [
      'another rule for local addresses comes first',
      async () => {
        await run('ip', ['rule', 'add', 'pref', '1', 'table', 'local']);
        await run('ip', ['rule', 'del', 'pref', '0', 'table', 'local']);
        await run('ip', ['rule', 'add', 'pref', '0', 'table', 'local']);
        await run('ip', ['rule', 'del', 'protocol', '216']);
      },
    ],
    [
      'the rule that stood in for the local one was left',
      () =>
        run('ip', ['rule', 'add', 'pref', '217', 'protocol', '2', 'table', 'local']).then(() =>
          run('ip', ['rule', 'del', 'pref', '0', 'table', 'local']),
        ),
    ],
  ])('%s: it is put right, and the host reaches itself', async (_, damage) => {
    const before = await ruleList(4);
    await damage();
    expect(await hosts.connects('127.0.0.1', PORT, 0)).toBe(true);
    expect(await wall.ensure()).toContain('not in place');
    expect((await ruleList(4)).split('\n').filter((line) => /^(0|216|217):/.test(line))).toEqual(
      before.split('\n').filter((line) => /^(0|216|217):/.test(line)),
    );
    expect(await hosts.connects('127.0.0.1', PORT, UID)).toBe(false);
    expect(await hosts.connects('127.0.0.1', PORT, 0)).toBe(true);
    expect(await wall.ensure()).toBeUndefined();
  });

  test('nothing is left of the wall that was removed', async () => {
    await wall.remove();
    for (const family of [4, 6] as const) expect(await ruleList(family)).not.toMatch(/216|217|uidrange/);
    expect(await hosts.connects('127.0.0.1', PORT, UID)).toBe(true);
    expect(await hosts.connects('::1', PORT, UID)).toBe(true);
  });
});
