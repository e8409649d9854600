import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { pythonWith, runPython } from './python-client.js';
import type { RunningService } from './running-service.js';

const document = await readFile(path.join(import.meta.dirname, 'user-document/sandbox-persistence.md'), 'utf8');
const blocks = [...document.matchAll(/```python\n([\s\S]*?)```/g)].map((match) => match[1]!);

describe("the user's document, with ucloud_sandbox 1.2.0 from the registry and three environment variables", () => {
  let python: string;
  let service: Pick<RunningService, 'config' | 'apiKey'>;

  beforeAll(async () => {
    python = await pythonWith('ucloud_sandbox==1.2.0');
    service = inject('service');
  }, 180_000);

  const play = async (program: string) => {
    const result = await runPython(python, service as RunningService, program);
    expect(result.stderr).toBe('');
    expect(result.exitCode).toBe(0);
    return result.stdout;
  };

  test('has the six Python blocks that this file plays', () => {
    expect(blocks).toHaveLength(6);
  });

  test('block 1: create, pause, connect, kill', async () => {
    await play(blocks[0]!);
  });

  test('block 2: pause and save state', async () => {
    const out = await play(`${blocks[1]!}\nsbx.kill()`);
    expect(out).toMatch(/Sandbox i[a-z0-9]{20} is running\.\nSandbox state saved and paused\./);
  });

  test('block 3: connect resumes a paused sandbox by its id', async () => {
    const before = `from ucloud_sandbox import Sandbox\n_s = Sandbox.create()\n_s.beta_pause()\n_id = _s.sandbox_id\n`;
    const out = await play(`${before}${blocks[2]!.replace('"your-sandbox-id"', '_id')}\nsbx.kill()`);
    expect(out).toBe('Connected and resumed.\n');
  });

  test('block 4: lists the paused sandboxes', async () => {
    const before = `from ucloud_sandbox import Sandbox\n_s = Sandbox.create()\n_s.beta_pause()\nprint(_s.sandbox_id)\n`;
    const out = await play(`${before}${blocks[3]!}\n_s.kill()`);
    const [id] = out.split('\n');
    expect(out).toContain(`Paused Sandbox ID: ${id}`);
  });

  test('block 5: kills through the instance and by id', async () => {
    const before = `from ucloud_sandbox import Sandbox\nsbx = Sandbox.create()\nsbx.beta_pause()\n_other = Sandbox.create()\n`;
    await play(`${before}${blocks[4]!.replace('"your-sandbox-id"', '_other.sandbox_id')}`);
  });

  test('block 6: creates with automatic pause', async () => {
    const out = await play(`${blocks[5]!}\nprint(sandbox.is_running())\nsandbox.kill()`);
    expect(out).toBe('True\n');
  });
});
