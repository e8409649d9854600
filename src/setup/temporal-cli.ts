import { access, constants, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import type { Config } from '../config.js';

const MODULE = 'github.com/temporalio/cli/cmd/temporal';
const VERSION = 'v1.5.1';

/** Path of a `temporal` program: the configured one, the one on PATH, the one kept from before, or one built now. */
export async function temporalCli(config: Config, say: (line: string) => void): Promise<string> {
  if (config.temporal.cli !== undefined) {
    if (await runs(config.temporal.cli)) return config.temporal.cli;
    throw new Error(
      `DORMOUSE_TEMPORAL_CLI: ${config.temporal.cli} is not a program that runs. Correct it, or unset it.`,
    );
  }
  if (await runs('temporal')) return 'temporal';
  const kept = path.join(config.toolsDir, 'temporal');
  if (
    await access(kept, constants.X_OK).then(
      () => true,
      () => false,
    )
  )
    return kept;
  await build(kept, say);
  return kept;
}

const runs = async (program: string): Promise<boolean> =>
  (await execa(program, ['--version'], { reject: false, timeout: 20_000 })).exitCode === 0;

async function build(to: string, say: (line: string) => void): Promise<void> {
  if ((await execa('go', ['version'], { reject: false })).exitCode !== 0) {
    throw new Error(
      'the Temporal CLI is missing, and so is Go to build it. Install the `temporal` program and put it on PATH, or set DORMOUSE_TEMPORAL_CLI.',
    );
  }
  say(`building the Temporal CLI ${VERSION} with Go (three minutes or so, once)`);
  const scratch = await mkdtemp(path.join(tmpdir(), 'temporal-build-'));
  try {
    const go = (args: string[]) =>
      execa('go', args, { cwd: scratch, env: { GOFLAGS: '-mod=mod', GOTOOLCHAIN: 'local' } });
    await go(['mod', 'init', 'scratch']);
    await go(['mod', 'edit', '-go=1.25']);
    await go(['get', `${MODULE}@${VERSION}`]);
    await go(['build', '-o', `${to}.draft`, MODULE]);
    await rename(`${to}.draft`, to);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
