// Every check; the tests in order from fast to real, what only reads the sources beside them. Ends with one line that counts them, before it what failed and what was skipped.
// Used by `make test`.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';

const root = path.resolve(import.meta.dirname, '..');
const bin = (name) => path.join(root, 'node_modules/.bin', name);
const scratch = mkdtempSync(path.join(tmpdir(), 'dormouse-test-'));
const report = path.join(scratch, 'vitest.json');
const skippedFile = path.join(scratch, 'skipped.json');
let passed = 0;
let failed = 0;
let skipped = [];
const failures = [];

/** At the lowest priority: tests that wait for guests leave processors idle, and those with time limits come first. */
async function check(name, command, args) {
  const child = spawn('nice', ['-n', '19', command, ...args], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  const closed = once(child, 'close').catch((error) => [error.message]);
  const [out, err, [status]] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
  process.stdout.write(`\n== ${name}\n${out}${err}`);
  if (status === 0) passed++;
  else {
    failed++;
    failures.push(name);
  }
}

const checks = Promise.all([
  check('types', bin('tsc'), ['--noEmit']),
  check('lint', bin('eslint'), ['.']),
  check('imports point one way', bin('depcruise'), [
    '--config',
    '.dependency-cruiser.cjs',
    'workflows',
    'activities',
    'src',
  ]),
]);

process.stdout.write('\n== tests\n');
const tests = spawn(
  process.execPath,
  [
    bin('vitest'),
    'run',
    '--reporter=default',
    '--reporter=json',
    `--reporter=${path.join(root, 'test/skipped-reporter.mjs')}`,
    `--outputFile.json=${report}`,
    ...process.argv.slice(2),
  ],
  { cwd: root, stdio: 'inherit', env: { ...process.env, DORMOUSE_SKIPPED_FILE: skippedFile } },
);
const [ended] = await once(tests, 'exit').catch((error) => [error.message]);
await checks;
try {
  const result = JSON.parse(readFileSync(report, 'utf8'));
  passed += result.numPassedTests;
  failed += result.numFailedTests;
  skipped = JSON.parse(readFileSync(skippedFile, 'utf8'));
  for (const file of result.testResults) {
    const tests = file.assertionResults.filter(({ status }) => status === 'failed');
    if (file.status === 'failed' && (tests.length === 0 || file.message !== ''))
      failures.push(`${file.name}: ${file.message || 'a hook or its import; see above'}`);
    for (const test of tests) failures.push(`${file.name}: ${test.fullName}\n${test.failureMessages.join('\n')}`);
  }
  if (ended !== 0 && result.numFailedTests === 0) {
    failed++;
    failures.push(`vitest ended with ${ended}; see above`);
  }
} catch (error) {
  failed++;
  failures.push(`the report of the tests cannot be read: ${error.message}`);
}
rmSync(scratch, { recursive: true, force: true });
for (const failure of failures) process.stdout.write(`\nfailed: ${failure}\n`);
for (const { name, reason } of skipped) process.stdout.write(`\nskipped: ${name} (${reason})\n`);
process.stdout.write(`\n${passed} passed, ${failed} failed, ${skipped.length} skipped\n`);
process.exit(failed === 0 ? 0 : 1);
