import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config.js';

const root = path.resolve(import.meta.dirname, '../..');
const SETTINGS = { POSTGRES_PASSWORD: 'for-a-test', DORMOUSE_HOSTS: 'h1=http://192.0.2.1:3002' };

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'dormouse-compose-'));
  await execa(path.join(root, 'setup/compose.sh'), ['version'], { timeout: 280_000 });
}, 300_000);
afterAll(() => rm(directory, { recursive: true, force: true }));

/** What the compose implementation makes of a file. */
const config = (file: string, env: Record<string, string> = SETTINGS) =>
  execa(path.join(root, 'setup/compose.sh'), ['-f', file, '--project-directory', root, 'config'], {
    env,
    reject: false,
  });

describe('docker-compose.yml', () => {
  const file = path.join(root, 'docker-compose.yml');

  test("is accepted by the compose implementation's own config command", async () => {
    const { exitCode, stdout, stderr } = await config(file);
    expect(stderr).toBe('');
    expect(exitCode).toBe(0);
    for (const service of ['postgresql', 'temporal', 'temporal-ui', 'control-worker', 'api'])
      expect(stdout).toMatch(new RegExp(`^  ${service}:$`, 'm'));
    expect(stdout).toContain(SETTINGS.DORMOUSE_HOSTS);
  });

  test('is refused without the settings that have no default, with the name of the one that is missing', async () => {
    const { exitCode, stderr } = await config(file, { POSTGRES_PASSWORD: 'for-a-test' });
    expect(exitCode).not.toBe(0);
    expect(stderr).toContain('DORMOUSE_HOSTS');
  });

  test('a file with a misspelt key is refused (control)', async () => {
    const broken = path.join(directory, 'broken.yml');
    await writeFile(broken, (await readFile(file, 'utf8')).replace('restart:', 'restrat:'));
    expect((await config(broken)).exitCode).not.toBe(0);
  });

  test('starts programs that the build makes, with variables that the configuration knows', async () => {
    const { stdout } = await config(file);
    const programs = [...stdout.matchAll(/dist\/src\/mains\/([a-z-]+)\.js/g)].map((match) => match[1]!);
    expect(programs.sort()).toEqual(['api', 'control-worker']);
    for (const program of programs) await access(path.join(root, `src/mains/${program}.ts`));
    const variables = Object.fromEntries(
      [...stdout.matchAll(/^\s+(DORMOUSE_[A-Z_]+): (.*)$/gm)].map((match) => [match[1]!, match[2]!]),
    );
    expect(Object.keys(variables)).toContain('DORMOUSE_TEMPORAL_ADDRESS');
    expect(readConfig(variables).temporal).toMatchObject({ external: true, address: 'temporal:7233' });
    const known = await readFile(path.join(root, 'src/config.ts'), 'utf8');
    for (const name of Object.keys(variables)) expect(known).toContain(`${name}:`);
  });
});
