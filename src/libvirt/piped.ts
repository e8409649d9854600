/**
 * Command line that gives a program its input as a pipe: tools which open `/dev/stdin` by name cannot open the socket
 * that Node makes of a child's standard input. The input itself never stands on a command line.
 *
 * @param document no secret; the program finds it at `/dev/fd/3`
 */
export const piped = (program: string, args: readonly string[], document = ''): [string, string[]] => [
  'sh',
  ['-c', `document=$1; shift; cat | exec "$0" "$@" 3<<END\n$document\nEND\n`, program, document, ...args],
];
