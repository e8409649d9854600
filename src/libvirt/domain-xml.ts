import { XMLBuilder } from 'fast-xml-parser';
import type { DomainSpec } from './domain-spec.js';

export const METADATA_NAMESPACE = 'urn:dormouse:sandbox:1';

const KEEP_OWNER = { '@model': 'dac', '@relabel': 'no' };

const builder = new XMLBuilder({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  textNodeName: '#',
  suppressEmptyNode: true,
  processEntities: true,
});

/**
 * Domain XML of a sandbox's machine, pure.
 *
 * - Memory: `memory-backend-file` with `share=on`, so that a save with the migration capability `x-ignore-shared`
 *   writes the device state only.
 * - One unix user per machine: a static DAC label, which libvirt gives to QEMU and passt alike. The disks are left
 *   out of relabelling, and the kernel is passed to QEMU directly, because machines with other labels share the
 *   template's files and libvirt refuses to relabel a file that is in use under another label.
 * - With few `questions` libvirt is told that this QEMU cannot list a CPU's unavailable features. It would ask for each of
 *   some 460 properties of the CPU otherwise, one after the other, at every start and restore (0.3 to 0.5 s under
 *   emulation); the older way is two questions. The answer matters to nobody: `check='none'`. All of them give time to a
 *   restore that is told to leave memory alone only while it goes on.
 * - `genid` without a value: libvirt makes a new one at every start and restore, and the guest's kernel reseeds.
 */
export function domainXml(spec: DomainSpec, { questions = 'few' }: { questions?: 'few' | 'all' } = {}): string {
  return builder.build({
    domain: {
      '@type': spec.accelerator === 'kvm' ? 'kvm' : 'qemu',
      '@xmlns:qemu': 'http://libvirt.org/schemas/domain/qemu/1.0',
      name: spec.name,
      uuid: spec.uuid,
      genid: {},
      metadata: {
        'dormouse:sandbox': {
          '@xmlns:dormouse': METADATA_NAMESPACE,
          '@id': spec.sandboxId,
          '@generation': spec.generation,
        },
      },
      memory: { '@unit': 'MiB', '#': spec.memoryMiB },
      vcpu: { '@placement': 'static', '#': spec.cpuCount },
      os: {
        type: { '@arch': 'x86_64', '@machine': spec.machineType, '#': 'hvm' },
      },
      features: { acpi: {} },
      cpu: {
        '@mode': 'custom',
        '@match': 'exact',
        '@check': 'none',
        model: { '@fallback': 'forbid', '#': spec.cpuModel },
      },
      clock: { '@offset': 'utc' },
      on_poweroff: 'destroy',
      on_reboot: 'restart',
      on_crash: spec.onPanic === 'reboot' ? 'restart' : 'destroy',
      devices: devices(spec),
      'qemu:commandline': {
        'qemu:arg': [
          '-object',
          `memory-backend-file,id=dm.ram,size=${spec.memoryMiB}M,mem-path=${spec.memoryFile},share=on`,
          '-machine',
          'memory-backend=dm.ram',
          '-kernel',
          spec.kernel,
          '-initrd',
          spec.initrd,
          '-append',
          spec.kernelArguments,
          '-qmp',
          `unix:${spec.qmpSocket},server=on,wait=on`,
        ].map((value) => ({ '@value': value })),
      },
      ...(questions === 'all'
        ? {}
        : { 'qemu:capabilities': { 'qemu:del': { '@capability': 'cpu-unavailable-features' } } }),
      seclabel: {
        '@type': 'static',
        '@model': 'dac',
        '@relabel': 'yes',
        label: `+${spec.uid}:+${spec.gid}`,
      },
    },
  });
}

function devices(spec: DomainSpec): object {
  return {
    disk: {
      '@type': 'file',
      '@device': 'disk',
      driver: { '@name': 'qemu', '@type': 'qcow2', '@discard': 'unmap' },
      source: {
        '@file': spec.disk.path,
        ...(spec.disk.secretUuid === undefined
          ? {}
          : {
              encryption: {
                '@format': 'luks',
                secret: { '@type': 'passphrase', '@uuid': spec.disk.secretUuid },
              },
            }),
        seclabel: KEEP_OWNER,
      },
      ...(spec.disk.backingFile === undefined
        ? {}
        : {
            backingStore: {
              '@type': 'file',
              format: { '@type': 'qcow2' },
              source: { '@file': spec.disk.backingFile, seclabel: KEEP_OWNER },
              backingStore: {},
            },
          }),
      target: { '@dev': 'vda', '@bus': 'virtio' },
      ...(spec.disk.bytesPerSecond === undefined ? {} : { iotune: { total_bytes_sec: spec.disk.bytesPerSecond } }),
    },
    interface: {
      '@type': 'user',
      backend: { '@type': 'passt' },
      mac: { '@address': spec.network.macAddress },
      model: { '@type': 'virtio' },
      portForward: {
        '@proto': 'tcp',
        '@address': spec.network.address,
        range: { '@start': spec.network.agentPort, '@to': spec.network.agentPort },
      },
    },
    ...(spec.consoleLog === undefined
      ? {}
      : { serial: { '@type': 'file', source: { '@path': spec.consoleLog }, target: { '@port': 0 } } }),
    controller: [
      { '@type': 'usb', '@model': 'none' },
      { '@type': 'pci', '@model': 'pcie-root' },
    ],
    memballoon: { '@model': 'virtio', '@freePageReporting': 'on' },
    ...(spec.panicDevice === true ? { panic: { '@model': 'isa' } } : {}),
    rng: { '@model': 'virtio', backend: { '@model': 'random', '#': '/dev/urandom' } },
    video: { model: { '@type': 'none' } },
  };
}
