// Compiles the service into dist/: every module by itself (relative paths stay true), and the workflow bundle,
// which is made anew only when something in workflows/ or Temporal's version has changed.
import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = path.dirname(fileURLToPath(import.meta.url));
const dist = path.join(root, 'dist');

const files = (directory, ending) =>
  readdirSync(path.join(root, directory), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => path.join(entry.parentPath, entry.name));

const sources = ['src', 'workflows', 'activities'].flatMap((directory) => files(directory, '.ts'));
await rm(path.join(dist, 'src'), { recursive: true, force: true });
await build({
  entryPoints: sources,
  outbase: root,
  outdir: dist,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  sourcemap: true,
  logLevel: 'warning',
});
await cp(path.join(root, 'src/template/recipe'), path.join(dist, 'src/template/recipe'), { recursive: true });

const hash = createHash('sha256');
for (const file of files('workflows', '.ts').sort()) hash.update(file).update(await readFile(file));
hash.update(await readFile(path.join(root, 'node_modules/@temporalio/worker/package.json')));
const key = hash.digest('hex');
const bundleFile = path.join(dist, 'workflow-bundle.js');
const keyFile = path.join(dist, 'workflow-bundle.key');
const before = await readFile(keyFile, 'utf8').catch(() => '');
if (before !== key) {
  const { bundleWorkflowCode } = await import('@temporalio/worker');
  const { code } = await bundleWorkflowCode({
    workflowsPath: path.join(root, 'workflows/index.ts'),
    workflowInterceptorModules: [path.join(root, 'workflows/trace-headers.ts')],
  });
  await mkdir(dist, { recursive: true });
  await writeFile(bundleFile, code);
  await writeFile(keyFile, key);
}
