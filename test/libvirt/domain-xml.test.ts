import { expect, test } from 'vitest';
import type { DomainSpec } from '../../src/libvirt/domain-spec.js';
import { domainXml } from '../../src/libvirt/domain-xml.js';

const spec: DomainSpec = {
  ...{ name: 'd', uuid: 'b0000000-0000-4000-8000-000000000001', sandboxId: 'i', generation: 1 },
  ...{ accelerator: 'tcg', machineType: 'pc-q35-10.0', cpuModel: 'Nehalem', cpuCount: 2, memoryMiB: 512 },
  ...{ kernel: '/t/vmlinuz', initrd: '/t/initrd', kernelArguments: 'root=/dev/vda', disk: { path: '/t/disk' } },
  ...{ memoryFile: '/m/ram', qmpSocket: '/m/qmp', uid: 1000, gid: 1000 },
  network: { macAddress: '52:54:00:d0:00:01', address: '127.64.0.1', agentPort: 49_983 },
};

test('a machine has a panic device when its template has one, and is otherwise the same', () => {
  const device = '<panic model="isa"/>';
  expect(domainXml(spec)).not.toContain('<panic');
  expect(domainXml({ ...spec, panicDevice: false })).toBe(domainXml(spec));
  const having = domainXml({ ...spec, panicDevice: true });
  expect(having).toContain(device);
  expect(having.replace(device, '')).toBe(domainXml(spec));
});

test('a machine whose kernel panics ends, or reboots where that is wanted', () => {
  expect(domainXml(spec)).toContain('<on_crash>destroy</on_crash>');
  expect(domainXml({ ...spec, onPanic: 'end' })).toContain('<on_crash>destroy</on_crash>');
  expect(domainXml({ ...spec, onPanic: 'reboot' })).toContain('<on_crash>restart</on_crash>');
});

test('a disk is limited where that is wanted, and nothing else changes', () => {
  const limit = '<iotune><total_bytes_sec>1000</total_bytes_sec></iotune>';
  const having = domainXml({ ...spec, disk: { ...spec.disk, bytesPerSecond: 1000 } });
  expect(having).toContain(limit);
  expect(having.replace(limit, '')).toBe(domainXml(spec));
});
