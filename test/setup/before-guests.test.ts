import { execa } from 'execa';
import { expect, test } from 'vitest';
import { beforeGuests } from '../../src/setup/before-guests.js';

const NICE = ['nice', '-n', '-10', 'ionice', '-t', '-c', '2', '-n', '0'];

async function on(host: { systemd: boolean; lacks?: string }): Promise<{ before: string[]; said: string[] }> {
  const said: string[] = [];
  const before = await beforeGuests((line) => said.push(line), {
    hasSystemd: () => Promise.resolve(host.systemd),
    run: (command) => Promise.resolve(command !== host.lacks),
  });
  return { before, said };
}

test('with systemd the service is in a slice that weighs more than that of guests', async () => {
  const { before, said } = await on({ systemd: true });
  expect(before.slice(-NICE.length)).toEqual(NICE);
  expect(before.slice(0, 2)).toEqual(['systemd-run', '--scope']);
  expect(before).toContain('--slice=dormouse.slice');
  expect(said).toEqual([]);
});

test('without it, or where it refuses, the service has its nice value, and says so in one line', async () => {
  for (const host of [{ systemd: false }, ...['systemctl', 'systemd-run'].map((lacks) => ({ systemd: true, lacks }))]) {
    const { before, said } = await on(host);
    expect(before).toEqual(NICE);
    expect(said).toHaveLength(1);
  }
});

test('on this machine what is put before a program runs it', async () => {
  const [program, ...args] = [...(await beforeGuests(() => undefined)), 'sh', '-c', 'echo $$'];
  const running = execa(program!, args);
  expect((await running).stdout).toBe(String(running.pid));
});
