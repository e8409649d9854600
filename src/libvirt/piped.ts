/**
 * Command line that gives a program its input as a pipe: tools which open `/dev/stdin` by name cannot open the socket
 * that Node makes of a child's standard input. The input itself never stands on a command line.
 */
export const piped = (program: string, args: readonly string[]): [string, string[]] => [
  'sh',
  ['-c', 'cat | exec "$0" "$@"', program, ...args],
];
