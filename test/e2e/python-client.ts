import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import type { RunningService } from './running-service.js';

const run = promisify(execFile);

/** A Python environment with exactly one published SDK; made once from the registry and kept among the tools. */
export async function pythonWith(requirement: string): Promise<string> {
  const script = path.resolve(import.meta.dirname, '../../setup/python-client.sh');
  return (await run(script, [requirement], { maxBuffer: 1 << 26 })).stdout.trim();
}

export interface PythonResult {
  stdout: string;
  stderr: string;
  exitCode: number;
}

/** Runs a program with the three settings of the user's document, and nothing else that an SDK could pick up. */
export async function runPython(
  python: string,
  service: RunningService,
  program: string,
  timeoutMs = 120_000,
): Promise<PythonResult> {
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
