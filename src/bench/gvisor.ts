import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, open, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { within } from '../within.js';

const PROGRAM = fileURLToPath(new URL('./guest/holder.js', import.meta.url));
const NAME = 'bench-gvisor';
const LINE_WITHIN_MS = 300_000;
const MOST_SAID = 2_000;

/** Version of `runsc`, or undefined where it is not installed. */
export const gvisorVersion = async (): Promise<string | undefined> => {
  const { exitCode, stdout } = await execa('runsc', ['--version'], { reject: false });
  return exitCode === 0 ? stdout.split('\n')[0] : undefined;
};

/**
 * gVisor, by its checkpoint and restore: the same memory as in the other guests, held by a process of a container that
 * has this machine's files, read-only, and no network. Debian's version cannot save a socket that listens, so the
 * process writes lines instead of answering.
 */
export class GvisorContainer {
  #process: ChildProcess | undefined;
  #lines: AsyncIterator<string> | undefined;
  #input: Interface | undefined;
  #held = '';
  /** The end of what it wrote to standard error. */
  #said = '';

  constructor(private readonly directory: string) {}

  /** Resolves once its memory is filled. */
  async start(mib: number, seed: number): Promise<void> {
    await this.remove();
    await mkdir(this.#image, { recursive: true });
    const config = {
      ociVersion: '1.0.0',
      process: {
        ...{ user: { uid: 0, gid: 0 }, cwd: '/', env: ['PATH=/usr/bin:/bin'] },
        args: [process.execPath, PROGRAM, String(mib), String(seed)],
      },
      root: { path: '/', readonly: true },
      mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
      linux: {
        namespaces: [{ type: 'pid' }, { type: 'network' }, { type: 'ipc' }, { type: 'uts' }, { type: 'mount' }],
      },
    };
    await writeFile(path.join(this.directory, 'config.json'), JSON.stringify(config));
    this.#run('run', '--bundle', this.directory);
    this.#held = (await this.#line(/^held /)).slice('held '.length);
  }

  /** @returns seconds until the checkpoint is written and synced; the container has ended then. */
  async checkpoint(): Promise<number> {
    const start = performance.now();
    await this.#runsc('checkpoint', `--image-path=${this.#image}`, NAME);
    for (const name of await readdir(this.#image)) {
      const file = await open(path.join(this.#image, name), 'r+');
      await file.sync();
      await file.close();
    }
    const seconds = (performance.now() - start) / 1000;
    await this.#end();
    return seconds;
  }

  /** @returns seconds until the process writes its next line. */
  async restore(): Promise<number> {
    const start = performance.now();
    this.#run('restore', '--bundle', this.directory, `--image-path=${this.#image}`);
    await this.#line(/^tick /);
    return (performance.now() - start) / 1000;
  }

  /** @throws Error when its memory is another than it was. */
  async verify(): Promise<void> {
    await this.#runsc('kill', NAME, 'USR1');
    const holds = (await this.#line(/^holds /)).slice('holds '.length);
    if (holds !== this.#held) throw new Error(`the memory in gVisor is wrong: ${holds}, not ${this.#held}`);
  }

  async remove(): Promise<void> {
    await this.#end();
    await rm(this.directory, { recursive: true, force: true });
  }

  get #image(): string {
    return path.join(this.directory, 'image');
  }

  #run(command: string, ...args: string[]): void {
    this.#process = spawn('runsc', [...this.#settings, command, ...args, NAME], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#said = '';
    this.#process.stderr!.on('data', (text: Buffer) => (this.#said = (this.#said + text.toString()).slice(-MOST_SAID)));
    this.#input = createInterface({ input: this.#process.stdout! });
    this.#lines = this.#input[Symbol.asyncIterator]();
  }

  async #end(): Promise<void> {
    await execa('runsc', [...this.#settings, 'kill', NAME, 'KILL'], { reject: false });
    await execa('runsc', [...this.#settings, 'delete', '-force', NAME], { reject: false });
    this.#process?.kill('SIGKILL');
    this.#input?.close();
    this.#process = undefined;
  }

  /** A start may leave zero bytes before its first line. */
  async #line(wanted: RegExp): Promise<string> {
    const signal = within(LINE_WITHIN_MS);
    const process = this.#process;
    signal.addEventListener('abort', () => process?.kill('SIGKILL'), { once: true });
    for (;;) {
      const { value, done } = await this.#lines!.next();
      if (done === true || signal.aborted)
        throw new Error(`gVisor ended, or wrote nothing like ${wanted.source}: ${this.#said}`);
      const line = value.replaceAll('\0', '');
      if (wanted.test(line)) return line;
    }
  }

  get #settings(): string[] {
    return ['--root', path.join(this.directory, 'run'), '--platform=ptrace', '--network=none', '--ignore-cgroups'];
  }

  #runsc(...args: string[]): Promise<unknown> {
    return execa('runsc', [...this.#settings, ...args]);
  }
}
