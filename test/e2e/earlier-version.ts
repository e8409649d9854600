import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';

const root = path.resolve(import.meta.dirname, '../..');

/** A commit of this project, checked out and built beside this one. */
export class EarlierVersion {
  private constructor(private readonly directory: string) {}

  /** @throws Error when this is no clone that has the commit, or it does not build. */
  static async build(commit: string, directory: string): Promise<EarlierVersion> {
    const there = await execa('git', ['cat-file', '-e', `${commit}^{commit}`], { cwd: root, reject: false });
    if (there.exitCode !== 0) {
      throw new Error(
        `commit ${commit} is not in this clone (${there.stderr}). Fetch the whole history, then test again.`,
      );
    }
    await execa('git', ['worktree', 'add', '--detach', directory, commit], { cwd: root });
    const version = new EarlierVersion(directory);
    try {
      await version.#install();
      await execa('node', ['build.mjs'], { cwd: directory });
    } catch (error) {
      await version.remove();
      throw error;
    }
    return version;
  }

  /** Its `make up`, without the installing. @returns stops it as Ctrl-C does. */
  async up(env: NodeJS.ProcessEnv, within: AbortSignal): Promise<() => Promise<void>> {
    const child = spawn(process.execPath, ['dist/src/mains/up.js'], {
      cwd: this.directory,
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    let said = '';
    await new Promise<void>((resolve, reject) => {
      const fail = (): void => reject(new Error(`the earlier version did not come up:\n${said}`));
      child.stdout.on('data', (text: Buffer) => {
        said += text.toString();
        if (said.includes('Dormouse is up')) resolve();
      });
      child.once('exit', fail);
      within.addEventListener('abort', fail, { once: true });
    }).catch((error: unknown) => {
      child.kill('SIGINT');
      throw error;
    });
    return async () => {
      child.kill('SIGINT');
      await exited;
    };
  }

  async apiKey(): Promise<string> {
    const settings = await readFile(path.join(this.directory, '.dormouse.env'), 'utf8');
    return /^export E2B_API_KEY=(\S+)$/m.exec(settings)![1]!;
  }

  async remove(): Promise<void> {
    await execa('git', ['worktree', 'remove', '--force', this.directory], { cwd: root });
  }

  /** The packages of this checkout where they are the same, as links; from the registry otherwise. */
  async #install(): Promise<void> {
    const [mine, its] = await Promise.all(
      [root, this.directory].map((directory) => readFile(path.join(directory, 'package-lock.json'), 'utf8')),
    );
    const modules = path.join(root, 'node_modules');
    const linked =
      mine === its &&
      (await execa('cp', ['-al', modules, path.join(this.directory, 'node_modules')], { reject: false })).exitCode ===
        0;
    if (!linked) await execa('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: this.directory });
  }
}
