import { expect, test } from 'vitest';
import { besideGuestKiB, cpuSeconds, residentMiB } from '../../src/bench/process-usage.js';

const mapping = (range: string, access: string, sizeKiB: number, residentKiB: number): string =>
  `${range} ${access} 00000000 00:00 0 \nSize:           ${sizeKiB} kB\nKernelPageSize:        4 kB\nRss:            ${residentKiB} kB\nVmFlags: rd\n`;

test("what a QEMU takes beside its guest is all but the guest's memory", () => {
  const smaps =
    mapping('7f00a0000000-7f00c0000000', 'rw-s', 524_288, 180_000) +
    // libvirt's own memory object, which is not used, and translated code.
    mapping('7f00c0000000-7f00e0000000', 'rw-p', 524_288, 0) +
    mapping('7f0100000000-7f0140000000', 'rwxp', 1_048_576, 300_000) +
    mapping('55d000000000-55d000100000', 'rw-p', 1_024, 900);
  expect(besideGuestKiB(smaps, 524_288)).toBe(300_900);
});

test('without a mapping as large as the guest, all of it counts', () => {
  expect(besideGuestKiB(mapping('55d000000000-55d000100000', 'rw-p', 1_024, 900), 524_288)).toBe(900);
});

const sum = ({ user, system }: NodeJS.CpuUsage): number => user + system;

test('CPU time and memory of a process are read from the kernel', async () => {
  const before = await cpuSeconds(process.pid);
  // Until the kernel says by another call that this process has used some: the same is to be read from its files.
  const start = process.cpuUsage();
  for (let us = 0; us < 200_000;) us = sum(process.cpuUsage(start));
  expect((await cpuSeconds(process.pid)) - before).toBeGreaterThan(0.02);
  expect(await residentMiB(process.pid)).toBeGreaterThan(10);
});
