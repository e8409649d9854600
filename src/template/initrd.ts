import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';

/** A regular file. */
interface Entry {
  name: string;
  mode: number;
  content: Buffer;
}

const PROGRAM = 0o100_755;
const FILE = 0o100_644;

/**
 * Writes an initrd of one program, compiled from `source`, and the driver of the guest's disk, a compressed module: the
 * only one that this kernel needs for its root and has not built in.
 */
export async function makeInitrd({
  to,
  source,
  driver,
}: {
  to: string;
  source: string;
  driver: string;
}): Promise<void> {
  const work = await mkdtemp(`${to}-`);
  try {
    const program = path.join(work, 'init');
    await execa('cc', [
      ...['-Os', '-std=c11', '-Wall', '-Werror', '-ffreestanding', '-fno-builtin', '-fno-stack-protector'],
      ...['-fno-pie', '-no-pie', '-static', '-nostdlib', '-s', '-o', program, source],
    ]);
    const init = { name: 'init', mode: PROGRAM, content: await readFile(program) };
    await writeFile(to, cpio([init, { name: 'driver', mode: FILE, content: await readFile(driver) }]));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** The format "newc" of cpio, which the kernel unpacks: per entry a header of hexadecimal fields, the name, the content. */
export const cpio = (entries: readonly Entry[]): Buffer =>
  Buffer.concat([...entries, { name: 'TRAILER!!!', mode: 0, content: Buffer.alloc(0) }].flatMap(record));

function record({ name, mode, content }: Entry, index: number): Buffer[] {
  const fields = [index + 1, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length + 1, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${name}\0`;
  return [padded(Buffer.from(header)), padded(content)];
}

const padded = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
