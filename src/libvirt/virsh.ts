import { execa } from 'execa';
import { LibvirtUnreachableError, VirshError } from './errors.js';
import { piped } from './piped.js';

const TIMEOUT_MS = 60_000;

/**
 * For the calls that the binding lacks. One argument may hold several commands, with `;` between them.
 * @param options.document with `input` only, and no secret: found at `/dev/fd/3`
 * @returns standard output
 */
export async function virsh(
  uri: string,
  args: string[],
  options: { input?: string; document?: string; absentIsFine?: boolean; signal?: AbortSignal } = {},
): Promise<string> {
  const command = ['-c', uri, ...args];
  const [program, programArgs] =
    options.input === undefined ? ['virsh', command] : piped('virsh', command, options.document);
  const result = await execa(program, programArgs, {
    reject: false,
    timeout: TIMEOUT_MS,
    // What it says is read here, too.
    env: { LC_ALL: 'C' },
    ...(options.input === undefined ? { stdin: 'ignore' as const } : { input: options.input }),
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
  });
  if (result.exitCode === 0) return result.stdout;
  const said = result.stderr.replace(/\s+/g, ' ').trim();
  if (
    options.absentIsFine === true &&
    /no secret|not found|domain is not running|failed to get (domain|secret)/i.test(said)
  )
    return '';
  if (/failed to connect|cannot recv data|end of file while reading/i.test(said))
    throw new LibvirtUnreachableError(uri, said);
  throw new VirshError(`virsh ${args[0]} failed: ${said || result.shortMessage}`);
}
