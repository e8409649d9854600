import { existsSync } from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const TERMINAL_PACKAGE = '@lydell/node-pty-linux-x64';

/**
 * Writes the agent as one file, and beside it the one native file that it loads. What it writes depends on nothing
 * but the sources: a template's key is made from it.
 */
export async function bundleAgent(outDir: string): Promise<void> {
  const here = path.dirname(fileURLToPath(import.meta.url));
  const entry = existsSync(path.join(here, 'main.ts')) ? 'main.ts' : 'main.js';
  await build({
    entryPoints: [path.join(here, entry)],
    absWorkingDir: here,
    outfile: path.join(outDir, 'agent.mjs'),
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    charset: 'utf8',
    minify: true,
    legalComments: 'none',
    sourcemap: false,
    logLevel: 'warning',
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  });
  const from = path.dirname(createRequire(import.meta.url).resolve(`${TERMINAL_PACKAGE}/package.json`));
  const to = path.join(outDir, 'node_modules', TERMINAL_PACKAGE);
  await mkdir(to, { recursive: true });
  for (const file of ['package.json', 'pty.node']) await copyFile(path.join(from, file), path.join(to, file));
}
