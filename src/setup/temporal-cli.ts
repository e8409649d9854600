import { access, constants, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import type { Config } from '../config.js';

const MODULE = 'github.com/temporalio/cli/cmd/temporal';
const VERSION = 'v1.5.1';
/** On two cores, beside the build of a template. */
const BUILD_MS = 200_000;

/** Path of a `temporal` program: the configured one, the one on PATH, the one kept, or one downloaded or built now. */
export async function temporalCli(
  config: Config,
  say: (line: string) => void,
  /** Told in how many milliseconds a build that was begun will be over. */
  expect: (ms: number) => void = () => undefined,
): Promise<string> {
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
  const refused = await download(kept, say);
  if (refused !== undefined) await build(kept, say, expect, refused);
  return kept;
}

const runs = async (program: string): Promise<boolean> =>
  (await execa(program, ['--version'], { reject: false, timeout: 20_000 })).exitCode === 0;

/** The SDK's own way to a dev server: its one program is kept. @returns why not, or undefined when it is there. */
async function download(to: string, say: (line: string) => void): Promise<string | undefined> {
  say('downloading the Temporal CLI (once)');
  const downloadDir = await mkdtemp(`${to}-download-`);
  try {
    const { TestWorkflowEnvironment } = await import('@temporalio/testing');
    const server = await TestWorkflowEnvironment.createLocal({
      server: { executable: { type: 'cached-download', downloadDir } },
    });
    await server.teardown();
    const [program] = await readdir(downloadDir);
    if (program === undefined) return 'the download left no program';
    await rename(path.join(downloadDir, program), to);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await rm(downloadDir, { recursive: true, force: true });
  }
}

async function build(
  to: string,
  say: (line: string) => void,
  expect: (ms: number) => void,
  refused: string,
): Promise<void> {
  if ((await execa('go', ['version'], { reject: false })).exitCode !== 0) {
    throw new Error(
      `the Temporal CLI is missing, could not be downloaded (${refused}), and there is no Go to build it. Install the program "temporal" and put it on PATH, or set DORMOUSE_TEMPORAL_CLI.`,
    );
  }
  say(`building the Temporal CLI ${VERSION} with Go (once)`);
  expect(BUILD_MS);
  const scratch = await mkdtemp(path.join(tmpdir(), 'temporal-build-'));
  try {
    const go = (args: string[]) =>
      execa('go', args, { cwd: scratch, env: { GOFLAGS: '-mod=mod', GOTOOLCHAIN: 'local' } });
    await go(['mod', 'init', 'scratch']);
    await go(['mod', 'edit', '-go=1.25']);
    await go(['get', `${MODULE}@${VERSION}`]);
    // Nobody debugs it: without tables for that its linking takes half as long.
    await go(['build', '-ldflags=-s -w', '-o', `${to}.draft`, MODULE]);
    await rename(`${to}.draft`, to);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
