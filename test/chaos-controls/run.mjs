// `make chaos-controls`: the crash matrix has to find each of these defects. Every one is put into a copy of dist/, and
// the run of the matrix on that copy must end with a violation.
import { execa } from 'execa';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');
const broken = path.join(root, 'dist-broken');

/** `find` stands in `file` exactly once. `only`: the cases that have to show it. */
const CONTROLS = [
  {
    name: 'skipped fsync of the image',
    file: 'src/sealing/seal-image.js',
    find: 'await draft.handle.sync();',
    put: '',
    only: '^pause × power-loss$',
  },
  {
    name: 'skipped consumed mark',
    file: 'activities/resume-vm.js',
    find: 'phase: { name: "restoring", consumed: true }',
    put: 'phase: { name: "restoring", consumed: false }',
    only: '^resume × crash at resume\\.ran$',
  },
  {
    name: 'device state kept after a roll-back',
    file: 'activities/roll-back-save.js',
    find: 'await rm(deviceState, { force: true });',
    put: '',
    only: '^pause × fail at pause\\.sealed$',
  },
  {
    name: 'no fence: neither the lock nor the generation',
    file: 'activities/fence.js',
    find: 'return context.locks.hold(id, generation, signal, async (held) => {',
    put: 'return (async (held) => work(held))(new AbortController().signal); await (async (held) => {',
    only: '^(pause|resume|create) × freeze-host-worker$',
  },
];

// `node test/chaos-controls/run.mjs fsync`: those whose name has the word.
const wanted = CONTROLS.filter(({ name }) => name.includes(process.argv[2] ?? ''));
let missed = 0;
try {
  for (const { name, file, find, put, only } of wanted) {
    await rm(broken, { recursive: true, force: true });
    await cp(path.join(root, 'dist'), broken, { recursive: true });
    const target = path.join(broken, file);
    const code = await readFile(target, 'utf8');
    if (code.split(find).length !== 2) throw new Error(`${name}: ${file} does not have, exactly once: ${find}`);
    await writeFile(target, code.replace(find, put));
    const results = path.join(root, '.chaos', 'controls');
    await rm(results, { recursive: true, force: true });
    console.log(`== ${name} ==`);
    const run = execa(
      process.execPath,
      [path.join(broken, 'src/mains/chaos.js'), '--only', only, '--port', '18000', '--results', results],
      { cwd: root, reject: false },
    );
    run.stdout.pipe(process.stdout, { end: false });
    run.stderr.pipe(process.stderr, { end: false });
    const caught = /^VIOLATION: .*/m.exec((await run).stdout);
    console.log(caught === null ? `NOT CAUGHT: ${name}` : `caught: ${name}`);
    if (caught === null) missed++;
  }
} finally {
  await rm(broken, { recursive: true, force: true });
}
console.log(`${wanted.length - missed} caught, ${missed} not`);
process.exitCode = missed === 0 ? 0 : 1;
