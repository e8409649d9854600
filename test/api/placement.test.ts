import { expect, test } from 'vitest';
import { place } from '../../src/api/placement.js';
import type { HostReport } from '../../src/gateway/wire.js';

const host = (
  hostId: string,
  memoryMiB: number,
  templates: [string, string[], number][],
  diskMiB = 9000,
): HostReport => ({
  hostId,
  templates: templates.map(([templateKey, names, createdAt]) => ({
    ...{ templateKey, names, createdAt, cpuCount: 2, memoryMiB: 512, diskMiB: 4096, envdVersion: '0.5.2' },
  })),
  free: { memoryMiB, diskMiB },
});

test('chooses the host with the most free memory', () => {
  const reports = [host('h1', 600, [['k1', ['base'], 1]]), host('h2', 900, [['k1', ['base'], 1]])];
  expect(place(reports, [], 'base')).toMatchObject({ hostId: 'h2', template: { templateKey: 'k1' } });
});

test('a name means its newest template; an older one is had by its key', () => {
  const reports = [host('h1', 9000, [['k1', ['base'], 1]]), host('h2', 600, [['k2', ['base'], 2]])];
  expect(place(reports, [], 'base')).toMatchObject({ hostId: 'h2', template: { templateKey: 'k2' } });
  expect(place(reports, [], 'k1')).toMatchObject({ hostId: 'h1', template: { templateKey: 'k1' } });
});

test('a full host is passed over for one with room', () => {
  const reports = [host('h1', 9000, [['k1', ['base'], 1]], 100), host('h2', 600, [['k1', ['base'], 1]])];
  expect(place(reports, [], 'base').hostId).toBe('h2');
});

test('says what is missing: room, the template, or a host that might have it', () => {
  const full = [host('h1', 100, [['k1', ['base'], 1]])];
  expect(() => place(full, [], 'base')).toThrow(expect.objectContaining({ code: 'InsufficientCapacity' }));
  expect(() => place(full, [], 'other')).toThrow(expect.objectContaining({ code: 'TemplateNotFound' }));
  expect(() => place(full, ['h2'], 'other')).toThrow(expect.objectContaining({ code: 'Unavailable' }));
  expect(() => place([], ['h1'], 'base')).toThrow(expect.objectContaining({ code: 'Unavailable' }));
});
