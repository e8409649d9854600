import { expect, test } from 'vitest';
import { parseDomainEvent } from '../../src/libvirt/domain-events.js';

const at = '2026-01-02 03:04:05.678+0000: event';

test.each([
  [`${at} 'reboot' for domain 'dormouse-i1'`, { event: 'rebooted', detail: 'rebooted by its guest' }],
  [
    `${at} 'lifecycle' for domain 'dormouse-i1': Shutdown Finished after guest request`,
    { detail: 'its guest powered off' },
  ],
  [`${at} 'lifecycle' for domain 'dormouse-i1': Shutdown Finished after host request`, { event: 'ended' }],
  [`${at} 'lifecycle' for domain 'dormouse-i1': Stopped Failed`, { event: 'ended', detail: 'its QEMU ended' }],
  [`${at} 'lifecycle' for domain 'dormouse-i1': Stopped Destroyed`, { event: 'ended' }],
  [`${at} 'lifecycle' for domain 'dormouse-i1': Crashed Panicked`, { event: 'panicked' }],
  [
    `${at} 'lifecycle' for domain 'dormouse-i1': Stopped Crashed`,
    { event: 'ended', detail: 'its guest has crashed: its kernel panicked' },
  ],
])('%s is understood', (line, event) => {
  expect(parseDomainEvent(line)).toMatchObject({ domain: 'dormouse-i1', ...event });
});

test.each([
  '',
  'event loop interrupted',
  `${at} 'lifecycle' for domain 'dormouse-i1': Suspended Paused`,
  `${at} 'lifecycle' for domain 'dormouse-i1': Stopped Shutdown`,
  `${at} 'lifecycle' for domain 'dormouse-i1': Stopped Saved`,
  `${at} 'lifecycle' for domain 'dormouse-i1': Crashed Crashloaded`,
  `${at} 'rtc-change' for domain 'dormouse-i1': 0`,
])('"%s" is of no interest', (line) => {
  expect(parseDomainEvent(line)).toBeUndefined();
});
