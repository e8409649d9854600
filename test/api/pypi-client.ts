import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { pythonWith } from '../e2e/python-client.js';

/** Runs a program with the client from PyPI, as tenant a. @throws Error with what it printed, when it fails */
export async function runPypiClient(apiUrl: string, program: string): Promise<void> {
  const python = await pythonWith('e2b==2.63.0');
  const env = {
    PATH: process.env['PATH'],
    E2B_API_KEY: 'key-a',
    E2B_API_URL: apiUrl,
    E2B_VALIDATE_API_KEY: 'false',
  };
  await promisify(execFile)(python, ['-c', program], { env });
}
