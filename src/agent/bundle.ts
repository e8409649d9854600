import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** Packages of one native file each. */
const NATIVE_PACKAGES = ['@lydell/node-pty-linux-x64', '@napi-rs/xattr-linux-x64-gnu'];

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
    banner: {
      js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);",
    },
  });
  for (const name of NATIVE_PACKAGES) await copyNative(name, path.join(outDir, 'node_modules', name));
}

async function copyNative(name: string, to: string): Promise<void> {
  const from = path.dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
  await mkdir(to, { recursive: true });
  const files = (await readdir(from)).filter((file) => file === 'package.json' || file.endsWith('.node'));
  for (const file of files) await copyFile(path.join(from, file), path.join(to, file));
}
