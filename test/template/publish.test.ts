import { execa } from 'execa';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { cutPower } from '../../src/chaos/power.js';
import { publishTemplate } from '../../src/template/publish.js';
import { readTemplate, templateFiles, type TemplateRecord } from '../../src/template/template.js';

const RECORD: TemplateRecord = {
  schema: 1,
  key: 'cafe0123',
  names: ['base'],
  createdAt: 1,
  accelerator: 'tcg',
  machineType: 'pc',
  cpuModel: 'max',
  cpuCount: 1,
  memoryMiB: 1,
  diskMiB: 1,
  kernelArguments: '',
  macAddress: '52:54:00:00:00:01',
  envdVersion: '1',
  versions: {},
  memoryExtents: [[0, 4096]],
};

let ground: string;
let disk: string;
let templateDir: string;
beforeEach(async () => {
  ground = await mkdtemp(path.join(tmpdir(), 'dormouse-power-'));
  [disk, templateDir] = [`${ground}.disk`, path.join(ground, 'templates')];
  await execa('truncate', ['-s', '32M', disk]);
  await execa('mkfs.ext4', ['-q', '-F', disk]);
  await execa('mount', ['-o', 'loop', disk, ground]);
});

afterEach(async () => {
  await execa('umount', [ground], { reject: false });
  await rm(ground, { recursive: true });
  await rm(disk);
});

test('a template that can be found has all of its bytes, also when the power goes at that moment', async () => {
  const draft = templateFiles(path.join(templateDir, 'draft.1'));
  await mkdir(draft.directory, { recursive: true });
  const { disk: overlaid, kernel, initrd, memory, deviceState } = draft;
  const data = [overlaid, kernel, initrd, memory, deviceState];
  for (const file of data) await writeFile(file, Buffer.alloc(100_000, path.basename(file)));

  await publishTemplate(draft.directory, RECORD, templateDir);
  await cutPower(ground);
  await execa('umount', [ground]);
  await execa('mount', ['-o', 'loop', disk, ground]);

  const template = await readTemplate(templateDir, RECORD.key);
  expect(template).toMatchObject(RECORD);
  for (const file of data) {
    const name = path.basename(file);
    const kept = await readFile(path.join(template!.directory, name));
    expect(kept.equals(Buffer.alloc(100_000, name)), name).toBe(true);
  }
});
