import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { chooseAccelerator } from '../../src/setup/accelerator.js';

let toolsDir: string;
let said: string[];
let tried: string[];
let made: number;
beforeEach(async () => {
  toolsDir = await mkdtemp(path.join(tmpdir(), 'accelerator-'));
  [said, tried, made] = [[], [], 0];
});
afterEach(() => rm(toolsDir, { recursive: true }));

const choose = (kvm: { there: boolean; works: boolean }, accelerator: 'auto' | 'kvm' | 'tcg' = 'auto') =>
  chooseAccelerator(
    { accelerator, toolsDir },
    (line) => said.push(line),
    async () => {
      made++;
      return '/draft/vmlinuz';
    },
    {
      there: async () => kvm.there,
      boots: async (kernel) => {
        tried.push(kernel);
        return kvm.works;
      },
    },
  );

test("KVM is tried with a guest's kernel, once per boot of the host, and used where that boots", async () => {
  expect(await choose({ there: true, works: true })).toBe('kvm');
  expect(tried).toEqual(['/draft/vmlinuz']);
  expect(await choose({ there: true, works: true })).toBe('kvm');
  expect([tried.length, made]).toEqual([1, 1]);
  expect(said).toEqual([]);
});

test('where KVM is there and no guest boots with it, guests are emulated, and it is said', async () => {
  expect(await choose({ there: true, works: false })).toBe('tcg');
  expect(said).toEqual([expect.stringContaining('EMULATED')]);
});

test('no kernel is made where there is no KVM to try, or nothing to choose', async () => {
  expect(await choose({ there: true, works: true }, 'tcg')).toBe('tcg');
  expect(await choose({ there: true, works: true }, 'kvm')).toBe('kvm');
  expect(await choose({ there: false, works: true })).toBe('tcg');
  expect(made).toBe(0);
});
