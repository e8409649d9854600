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

/** The generations of settings that clients read (contract 1.1): prefix, and the name of the data plane's address. */
const SETTINGS = {
  agentbox: ['AGENTBOX', 'AGENTBOX_SANDBOX_URL'],
  ucloud: ['UCLOUD_SANDBOX', 'UCLOUD_SANDBOX_URL'],
  e2b: ['E2B', 'E2B_SANDBOX_URL'],
} as const;

export type SettingsOf = keyof typeof SETTINGS;

/** The three documented settings of a client, and nothing else that it could pick up. */
export function settings(service: Pick<RunningService, 'config' | 'apiKey'>, of: SettingsOf): NodeJS.ProcessEnv {
  const [prefix, sandboxUrl] = SETTINGS[of];
  return {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    HOME: '/nonexistent',
    [`${prefix}_API_KEY`]: service.apiKey,
    [`${prefix}_API_URL`]: `http://127.0.0.1:${service.config.apiPort}`,
    [sandboxUrl]: `http://127.0.0.1:${service.config.proxyPort}`,
  };
}

export interface PythonResult {
  stdout: string;
  stderr: string;
  exitCode: number;
}

/** Runs a program with the three settings of the user's document. */
export async function runPython(
  python: string,
  service: RunningService,
  program: string,
  timeoutMs = 120_000,
): Promise<PythonResult> {
  const env = settings(service, 'agentbox');
  try {
    const { stdout, stderr } = await run(python, ['-c', program], { env, timeout: timeoutMs, maxBuffer: 1 << 26 });
    return { stdout, stderr, exitCode: 0 };
  } catch (error) {
    const failed = error as { stdout?: string; stderr?: string; code?: number | string; message: string };
    const exitCode = typeof failed.code === 'number' ? failed.code : -1;
    return { stdout: failed.stdout ?? '', stderr: failed.stderr ?? failed.message, exitCode };
  }
}
