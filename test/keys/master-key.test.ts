import { spawn } from 'node:child_process';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buildSync } from 'esbuild';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KEY_LABELS } from '../../src/keys/derive.js';
import { existingMasterKey, fileMasterKey } from '../../src/keys/master-key.js';

let directory: string;
let file: string;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'dormouse-keys-'));
  file = path.join(directory, 'state', 'master.key');
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe('the master key file', () => {
  it('is made on first run with 32 random bytes as base64 text and mode 0600, and is the same afterwards', async () => {
    const first = await fileMasterKey(file);
    const text = await readFile(file, 'utf8');
    expect(text).toMatch(/^[A-Za-z0-9+/]{43}=\n$/);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await stat(path.dirname(file))).mode & 0o777).toBe(0o700);
    const second = await fileMasterKey(file);
    expect(second.derive('tokens')).toEqual(first.derive('tokens'));
    expect(await readFile(file, 'utf8')).toBe(text);
    expect(await readdir(path.dirname(file))).toEqual(['master.key']);
  });

  it('is not made by those who change nothing; where it is there, they get the same', async () => {
    await expect(existingMasterKey(file)).rejects.toMatchObject({ code: 'KeyFileMissing' });
    expect(await readdir(directory)).toEqual([]);
    const made = await fileMasterKey(file);
    expect((await existingMasterKey(file)).derive('manifests')).toEqual(made.derive('manifests'));
  });

  it('is the same for callers that start together in one process', async () => {
    const keys = await Promise.all(Array.from({ length: 20 }, () => fileMasterKey(file)));
    expect(new Set(keys.map((key) => key.derive('wrap').toString('hex'))).size).toBe(1);
    expect(await readdir(path.dirname(file))).toEqual(['master.key']);
  });

  it('is the same for processes that start together', async () => {
    const script = path.join(directory, 'start.mjs');
    const source = `import { existingMasterKey, fileMasterKey } from './src/keys/master-key.ts';
      const key = await fileMasterKey(process.argv[2]); process.stdout.write(key.derive('tokens').toString('hex'));`;
    buildSync({
      stdin: { contents: source, resolveDir: process.cwd(), loader: 'ts' },
      bundle: true,
      platform: 'node',
      format: 'esm',
      outfile: script,
    });
    const start = (): Promise<string> =>
      new Promise((resolve, reject) => {
        const child = spawn(process.execPath, [script, file], { stdio: ['ignore', 'pipe', 'inherit'] });
        let output = '';
        child.stdout.on('data', (data: Buffer) => (output += data.toString()));
        child.on('error', reject).on('close', () => resolve(output));
      });
    const keys = await Promise.all(Array.from({ length: 4 }, start));
    expect(keys[0]).toMatch(/^[0-9a-f]{64}$/);
    expect(new Set(keys).size).toBe(1);
  });

  it.each([0o640, 0o604, 0o660, 0o620, 0o601])(
    'is refused with mode %o, with the remedy in the message',
    async (mode) => {
      await fileMasterKey(file);
      const secret = (await readFile(file, 'utf8')).trim();
      await chmod(file, mode);
      const error = await fileMasterKey(file).catch((reason: unknown) => reason as Error);
      expect(error).toMatchObject({ code: 'KeyFileInsecure', message: expect.stringContaining('chmod 600') as string });
      expect((error as Error).message).toContain(file);
      expect((error as Error).message).not.toContain(secret);
    },
  );

  it.each([
    ['empty', ''],
    ['too short', Buffer.alloc(31, 7).toString('base64')],
    ['too long', Buffer.alloc(33, 7).toString('base64')],
    ['not base64', '!'.repeat(44)],
    ['huge', 'A'.repeat(100_000)],
  ])('is refused when its content is %s, without repeating the content', async (_name, content) => {
    file = path.join(directory, 'master.key');
    await writeFile(file, content, { mode: 0o600 });
    const error = await fileMasterKey(file).catch((reason: unknown) => reason as Error);
    expect(error).toMatchObject({ code: 'KeyFileInvalid' });
    if (content !== '') expect((error as Error).message).not.toContain(content);
    expect(await readFile(file, 'utf8')).toBe(content);
  });

  it('is refused when it is a directory', async () => {
    await expect(fileMasterKey(directory)).rejects.toThrow(/not a regular file|EISDIR/);
  });
});

describe('the master key', () => {
  it('derives a different 32-byte key for every label, and none for an unknown one', async () => {
    const key = await fileMasterKey(file);
    const derived = KEY_LABELS.map((label) => key.derive(label));
    expect(derived.every((subkey) => subkey.length === 32)).toBe(true);
    expect(new Set(derived.map((subkey) => subkey.toString('hex'))).size).toBe(KEY_LABELS.length);
    expect(() => key.derive('other' as 'wrap')).toThrow(/unknown key label/);
  });

  it('wraps a key so that it opens for the same context only, under the same master key only', async () => {
    const { wrapper } = await fileMasterKey(file);
    const dataKey = Buffer.alloc(32, 0x5a);
    const wrapped = await wrapper.wrap(dataKey, 'sandbox/a');
    expect(wrapped.includes(dataKey)).toBe(false);
    expect(await wrapper.unwrap(wrapped, 'sandbox/a')).toEqual(dataKey);
    expect(await wrapper.wrap(dataKey, 'sandbox/a')).not.toEqual(wrapped);
    await expect(wrapper.unwrap(wrapped, 'sandbox/b')).rejects.toMatchObject({ code: 'WrappedKeyDamaged' });
    const other = await fileMasterKey(path.join(directory, 'other.key'));
    await expect(other.wrapper.unwrap(wrapped, 'sandbox/a')).rejects.toMatchObject({ code: 'WrappedKeyDamaged' });
  });

  it('refuses a wrapped key with any bit flipped, cut short or extended', async () => {
    const { wrapper } = await fileMasterKey(file);
    const wrapped = await wrapper.wrap(Buffer.alloc(32, 1), 'c');
    for (let bit = 0; bit < wrapped.length * 8; bit++) {
      const damaged = Buffer.from(wrapped);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      await expect(wrapper.unwrap(damaged, 'c')).rejects.toMatchObject({ code: 'WrappedKeyDamaged' });
    }
    for (let length = 0; length < wrapped.length; length++) {
      await expect(wrapper.unwrap(wrapped.subarray(0, length), 'c')).rejects.toThrow();
    }
    await expect(wrapper.unwrap(Buffer.concat([wrapped, Buffer.of(0)]), 'c')).rejects.toThrow();
  });
});
