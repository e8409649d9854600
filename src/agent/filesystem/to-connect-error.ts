import { Code, ConnectError } from '@connectrpc/connect';

const CODE_BY_ERRNO: Record<string, Code> = {
  ENOENT: Code.NotFound,
  ENOTDIR: Code.InvalidArgument,
  EISDIR: Code.InvalidArgument,
  EINVAL: Code.InvalidArgument,
  // A NUL in a path: Node's own check.
  ERR_INVALID_ARG_VALUE: Code.InvalidArgument,
  ENAMETOOLONG: Code.InvalidArgument,
  ELOOP: Code.InvalidArgument,
  // A pipe without a reader, a socket, a device without a driver: nothing that can be opened.
  ENXIO: Code.InvalidArgument,
  ENODEV: Code.InvalidArgument,
  EEXIST: Code.AlreadyExists,
  EACCES: Code.PermissionDenied,
  EPERM: Code.PermissionDenied,
  EROFS: Code.PermissionDenied,
  ENOSPC: Code.ResourceExhausted,
  EMFILE: Code.ResourceExhausted,
  ETIMEDOUT: Code.DeadlineExceeded,
  ENOTEMPTY: Code.FailedPrecondition,
};

/** @throws ConnectError instead of what the filesystem threw. */
export async function filesystemCall<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof ConnectError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    throw new ConnectError(message, CODE_BY_ERRNO[code ?? ''] ?? Code.Internal);
  }
}
