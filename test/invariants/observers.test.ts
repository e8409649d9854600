import { expect, it } from 'vitest';
import { parseDomainList } from '../../src/invariants/observe-libvirt.js';
import { guestProcesses } from '../../src/invariants/observe-processes.js';

it('a list of domains is read with its states, also those of two words', () => {
  const text = ' 70   dormouse-abc   running\n -    other          shut off\n\n';
  expect(parseDomainList(text)).toEqual([
    { name: 'dormouse-abc', state: 'running' },
    { name: 'other', state: 'shut off' },
  ]);
});

it('QEMU belongs to the state directory that its memory file is in; passt to the sandbox whose name it begins', () => {
  const qemu = (dir: string, id: string) => [
    '/usr/bin/qemu-system-x86_64',
    '-object',
    `x,mem-path=${dir}/memory/${id}/ram,share=on`,
  ];
  const passt = ['passt', '--one-off', '--socket', '/run/libvirt/qemu/passt/7-dormouse-abcdefghijk-net0.socket'];
  const processes = [
    { pid: 1, args: qemu('/state', 'abcdefghijklmno') },
    { pid: 2, args: qemu('/other/state', 'zzz') },
    { pid: 3, args: passt },
    { pid: 4, args: ['node', 'mem-path=/state/memory/abc/ram'] },
  ];
  const options = { stateDir: '/state', domainPrefix: 'dormouse-', known: new Set(['abcdefghijklmno']) };
  expect(guestProcesses(processes, options)).toEqual([
    { pid: 1, kind: 'qemu', id: 'abcdefghijklmno' },
    { pid: 3, kind: 'passt', id: 'abcdefghijklmno' },
  ]);
  expect(guestProcesses(processes, { ...options, known: new Set() })).toHaveLength(1);
});
