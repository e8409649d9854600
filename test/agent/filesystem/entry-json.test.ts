import { create, toJson } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { entryJson } from '../../../src/agent/filesystem/entry-json.js';
import { EntryInfoSchema, FileType } from '../../../src/gen/filesystem/filesystem_pb.js';

const text = fc.string({ unit: 'grapheme' });
const entry = fc.record(
  {
    ...{ name: text, path: text, permissions: text, owner: text, group: text, symlinkTarget: text },
    type: fc.constantFrom(FileType.UNSPECIFIED, FileType.FILE, FileType.DIRECTORY, FileType.SYMLINK),
    size: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
    mode: fc.nat(0o7777),
    modifiedTime: fc
      .integer({ min: Date.parse('0001-01-01T00:00:00Z'), max: Date.parse('9999-12-31T23:59:59Z') })
      .map(timestampFromMs),
    metadata: fc.dictionary(
      text.filter((key) => key !== '__proto__'),
      text,
    ),
    isSymlink: fc.boolean(),
  },
  { requiredKeys: [] },
);

test('an entry is written as the library for messages writes it', () => {
  fc.assert(
    fc.property(entry, (given) => {
      expect(JSON.parse(entryJson(given))).toEqual(toJson(EntryInfoSchema, create(EntryInfoSchema, given)));
    }),
  );
});
