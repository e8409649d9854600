import path from 'node:path';
import { Code, ConnectError } from '@connectrpc/connect';
import type { AgentState } from '../agent-state.js';
import { filesystemCall } from '../filesystem/to-connect-error.js';
import { mayWait, userFiles } from '../filesystem/user-files.js';
import { resolvePath } from '../resolve-path.js';
import type { User } from '../users.js';

/** A command ready to be started. */
export interface Command {
  file: string;
  args: string[];
  cwd: string;
  env: Record<string, string>;
  user: User;
}

export interface CommandRequest {
  cmd: string;
  args: string[];
  envs: Record<string, string>;
  cwd: string | undefined;
}

const SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export async function prepareCommand(request: CommandRequest, user: User, state: AgentState): Promise<Command> {
  if ([request.cmd, ...request.args, ...Object.entries(request.envs).flat()].some((text) => text.includes('\0'))) {
    throw new ConnectError('a command, its arguments and variables cannot contain a NUL', Code.InvalidArgument);
  }
  const cwd = resolvePath(request.cwd || state.defaultWorkdir || '~', user.home);
  const isDirectory = filesystemCall(() => userFiles.isDirectory(cwd));
  if (!(await isDirectory)) throw new ConnectError(`cwd '${cwd}' does not exist`, Code.InvalidArgument);
  const env = {
    PATH: SEARCH_PATH,
    HOME: user.home,
    USER: user.name,
    LOGNAME: user.name,
    ...state.envVars,
    ...request.envs,
  };
  if (!(await canRun(request.cmd, cwd, env.PATH))) {
    throw new ConnectError(`there is no executable '${request.cmd}'`, Code.InvalidArgument);
  }
  const [cmd = '', ...args] = [...fromApart(cwd), request.cmd, ...request.args];
  return { ...asUser(user, cmd, args), cwd: mayWait(cwd) ? '/' : cwd, env, user };
}

/** Node waits until a new process is in its directory; where that may take for ever, the process goes there later. */
const fromApart = (cwd: string): string[] => (mayWait(cwd) ? ['/bin/sh', '-c', 'cd -- "$0" && exec "$@"', cwd] : []);

/** `setpriv` sets uid, gid and all groups of the user, then becomes the command: the pid stays. */
const asUser = (user: User, cmd: string, args: string[]): { file: string; args: string[] } =>
  process.getuid?.() === 0
    ? { file: SETPRIV, args: [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--init-groups', '--', cmd, ...args] }
    : { file: cmd, args };

const SETPRIV = '/usr/bin/setpriv';

async function canRun(cmd: string, cwd: string, searchPath: string): Promise<boolean> {
  if (cmd === '') return false;
  const candidates = cmd.includes('/')
    ? [path.resolve(cwd, cmd)]
    : searchPath.split(':').map((directory) => path.resolve(cwd, directory, cmd));
  const found = await Promise.all(candidates.map((file) => userFiles.isExecutable(file)));
  return found.includes(true);
}
