import { existsSync } from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** Native files that the agent loads, below `node_modules`. */
const NATIVE_FILES = [
  '@lydell/node-pty-linux-x64/pty.node',
  '@napi-rs/xattr-linux-x64-gnu/xattr.linux-x64-gnu.node',
  '@koromix/koffi-linux-x64/linux_x64/koffi.node',
];

/**
 * Writes the agent as one file, and beside it the native files that it loads. What it writes depends on nothing
 * but the sources: a template's key is made from it.
 */
export async function bundleAgent(outDir: string): Promise<void> {
  const here = path.dirname(fileURLToPath(import.meta.url));
  const entry = existsSync(path.join(here, 'main.ts')) ? 'main.ts' : 'main.js';
  await build({
    entryPoints: [path.join(here, entry)],
    absWorkingDir: here,
    outfile: path.join(outDir, 'dormoused.cjs'),
    bundle: true,
    // Half of the time to start of an ES module: that form has Node load all of its own modules, its HTTP client included.
    format: 'cjs',
    platform: 'node',
    target: 'node24',
    charset: 'utf8',
    minify: true,
    legalComments: 'none',
    sourcemap: false,
    logLevel: 'warning',
    define: { 'import.meta.url': 'ownUrl' },
    banner: { js: "const ownUrl = require('node:url').pathToFileURL(__filename).href;" },
  });
  for (const file of NATIVE_FILES) await copyNative(file, path.join(outDir, 'node_modules'));
}

async function copyNative(file: string, modules: string): Promise<void> {
  const [scope = '', name = ''] = file.split('/');
  const manifest = createRequire(import.meta.url).resolve(`${scope}/${name}/package.json`);
  for (const each of [`${scope}/${name}/package.json`, file]) {
    await mkdir(path.dirname(path.join(modules, each)), { recursive: true });
    await copyFile(path.resolve(path.dirname(manifest), '../..', each), path.join(modules, each));
  }
}
