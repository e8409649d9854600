import { execa } from 'execa';

/** A program that has not ended by then answers no more. */
const WITHIN_MS = 20_000;

export class CommandError extends Error {
  override readonly name = 'CommandError';
}

/**
 * Runs a program of the host, such as nft.
 *
 * @returns standard output
 * @throws CommandError with the program's own words
 */
export type Run = (program: string, args: string[], input?: string) => Promise<string>;

export const onHost: Run = async (program, args, input) => {
  const result = await execa(program, args, {
    ...{ reject: false, timeout: WITHIN_MS, killSignal: 'SIGKILL' },
    ...(input === undefined ? {} : { input }),
  });
  if (result.exitCode === 0) return result.stdout;
  const said = result.stderr.trim() || result.shortMessage;
  throw new CommandError(
    `${program} ${args.join(' ')} failed: ${said}. The network guard needs root, nftables and iproute2.`,
  );
};
