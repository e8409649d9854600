import { expect, test } from 'vitest';
import { asAnyoneWould } from '../../src/bench/floor.js';
import { domainXml } from '../../src/libvirt/domain-xml.js';

const xml = domainXml({
  ...{ name: 'floor', uuid: 'b0000000-0000-4000-8000-000000000001', sandboxId: 'floor', generation: 0 },
  ...{ accelerator: 'tcg', machineType: 'pc-q35-10.0', cpuModel: 'Nehalem', cpuCount: 2, memoryMiB: 512 },
  ...{ kernel: '/t/vmlinuz', initrd: '/t/initrd', kernelArguments: 'root=/dev/vda', disk: { path: '/t/disk' } },
  ...{ memoryFile: '/m/ram', qmpSocket: '/m/qmp', uid: 1000, gid: 1000 },
  network: { macAddress: '52:54:00:d0:00:01', address: '127.64.0.1', agentPort: 49_983 },
});
const argumentsOf = (text: string): string[] =>
  [...text.matchAll(/<qemu:arg value="([^"]*)"/g)].map(([, value]) => value!);

test("the floor's guest is ours without memory as a file, without a monitor of ours, and hides nothing from libvirt", () => {
  expect(argumentsOf(xml)).toContain('unix:/m/qmp,server=on,wait=on');
  expect(argumentsOf(asAnyoneWould(xml))).toEqual([
    ...['-kernel', '/t/vmlinuz', '-initrd', '/t/initrd', '-append', 'root=/dev/vda'],
  ]);
  expect(xml).toContain('<qemu:capabilities>');
  expect(asAnyoneWould(xml)).not.toContain('capabilit');
  const rest = (text: string): string =>
    text.replace(/<qemu:commandline>.*<\/qemu:commandline>|<qemu:capabilities>.*<\/qemu:capabilities>/gs, '');
  expect(rest(asAnyoneWould(xml))).toBe(rest(xml));
});
