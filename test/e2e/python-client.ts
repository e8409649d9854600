import { execFile } from 'node:child_process';
import { access, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import type { RunningService } from './running-service.js';

const run = promisify(execFile);

/** A Python environment with exactly one published SDK; made once from the registry and kept among the tools. */
export async function pythonWith(requirement: string): Promise<string> {
  const home = process.env['DORMOUSE_HOME'] ?? '/var/lib/dormouse';
  const directory = path.join(home, 'tools', `venv-${requirement.replace(/[^a-z0-9.]+/gi, '-')}`);
  const done = path.join(directory, '.complete');
  const there = await access(done).then(
    () => true,
    () => false,
  );
  if (!there) {
    await mkdir(path.dirname(directory), { recursive: true });
    await run('python3', ['-m', 'venv', '--clear', directory]);
    await run(path.join(directory, 'bin/pip'), ['install', '--quiet', requirement], { maxBuffer: 1 << 26 });
    await writeFile(done, '');
  }
  return path.join(directory, 'bin/python');
}

export interface PythonResult {
  stdout: string;
  stderr: string;
  exitCode: number;
}

/** Runs a program with the three settings of the user's document, and nothing else that an SDK could pick up. */
export async function runPython(python: string, service: RunningService, program: string, timeoutMs = 120_000): Promise<PythonResult> {
  const env = {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    HOME: '/nonexistent',
    AGENTBOX_API_KEY: service.apiKey,
    AGENTBOX_API_URL: `http://127.0.0.1:${service.config.apiPort}`,
    AGENTBOX_SANDBOX_URL: `http://127.0.0.1:${service.config.proxyPort}`,
  };
  try {
    const { stdout, stderr } = await run(python, ['-c', program], { env, timeout: timeoutMs, maxBuffer: 1 << 26 });
    return { stdout, stderr, exitCode: 0 };
  } catch (error) {
    const failed = error as { stdout?: string; stderr?: string; code?: number | string; message: string };
    const exitCode = typeof failed.code === 'number' ? failed.code : -1;
    return { stdout: failed.stdout ?? '', stderr: failed.stderr ?? failed.message, exitCode };
  }
}
