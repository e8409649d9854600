import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { build } from 'esbuild';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';

const source = (file: string): string => path.resolve(import.meta.dirname, '../../src', file);

test('the unsealed side tells parts of memory apart as the sealed one does, and hands plain text on', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'unsealed-'));
  try {
    const common = { bundle: true, platform: 'node', format: 'esm' } as const;
    const [loaded, digest] = [path.join(directory, 'unsealed.mjs'), path.join(directory, 'part-digest.mjs')];
    await build({ ...common, entryPoints: [source('bench/unsealed.ts')], outfile: loaded });
    await build({ ...common, entryPoints: [source('sealing/part-digest.ts')], outfile: digest });
    const program = `
      const { createCipheriv } = await import('node:crypto');
      const { digestKey, partDigest } = await import(${JSON.stringify(digest)});
      const key = digestKey(Buffer.alloc(32, 1), 'sandbox');
      const digests = ['a', 'b'].map((content) => partDigest(key, Buffer.alloc(262144, content)));
      const cipher = createCipheriv('aes-256-gcm', Buffer.alloc(32), Buffer.alloc(12));
      console.log(JSON.stringify({ digests, text: cipher.update(Buffer.from('plain')).toString() }));`;
    const run = (...load: string[]): { digests: string[]; text: string } =>
      JSON.parse(
        execFileSync(process.execPath, [...load, '--input-type=module', '-e', program], { encoding: 'utf8' }),
      ) as { digests: string[]; text: string };
    const [plain, sealed] = [run(`--import=${loaded}`), run()];
    expect(plain.digests).toEqual(sealed.digests);
    expect(new Set(plain.digests).size).toBe(2);
    expect([plain.text, sealed.text === 'plain']).toEqual(['plain', false]);
  } finally {
    await rm(directory, { recursive: true });
  }
});
