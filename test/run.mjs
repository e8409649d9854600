// Every check, in order from fast to real; ends with one line that counts them. Used by `make test`.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const bin = (name) => path.join(root, 'node_modules/.bin', name);
const scratch = mkdtempSync(path.join(tmpdir(), 'dormouse-test-'));
const report = path.join(scratch, 'vitest.json');
let passed = 0;
let failed = 0;

function check(name, command, args) {
  process.stdout.write(`\n== ${name}\n`);
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (status === 0) passed++;
  else {
    failed++;
    process.stdout.write(`== ${name}: failed\n`);
  }
}

check('types', bin('tsc'), ['--noEmit']);
check('lint', bin('eslint'), ['.']);
check('imports point one way', bin('depcruise'), [
  '--config',
  '.dependency-cruiser.cjs',
  'workflows',
  'activities',
  'src',
]);

process.stdout.write('\n== tests\n');
const run = spawnSync(
  process.execPath,
  [
    bin('vitest'),
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...process.argv.slice(2),
  ],
  { cwd: root, stdio: 'inherit' },
);
try {
  const result = JSON.parse(readFileSync(report, 'utf8'));
  passed += result.numPassedTests;
  failed += result.numFailedTests;
  if (run.status !== 0 && result.numFailedTests === 0) failed++;
} catch {
  failed++;
}
rmSync(scratch, { recursive: true, force: true });
process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
process.exit(failed === 0 ? 0 : 1);
