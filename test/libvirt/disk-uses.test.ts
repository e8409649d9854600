import { expect, test } from 'vitest';
import { parseDiskUses } from '../../src/libvirt/disk-uses.js';

/** As virsh 11.3 prints it; of the second machine, which a step holds, it says nothing of the disk. */
const TEXT = `Domain: 'd-a1'
  block.count=1
  block.0.name=vda
  block.0.path=/state/disks/block.9.rd.reqs=7
  block.0.rd.reqs=10
  block.0.rd.bytes=40960
  block.0.rd.times=123456
  block.0.wr.reqs=200
  block.0.wr.bytes=819200
  block.0.wr.times=9999
  block.0.fl.reqs=100
  block.0.fl.times=555
  block.0.allocation=1000

Domain: 'd-a2'

Domain: 'd-b'
  block.count=1
  block.0.wr.reqs=1
  block.0.wr.bytes=512

`;

test('what machines have asked of their disks is read from what virsh says', () => {
  expect([...parseDiskUses(TEXT)]).toEqual([
    ['d-a1', { bytes: 40960 + 819200, requests: 310 }],
    ['d-b', { bytes: 512, requests: 1 }],
  ]);
});
