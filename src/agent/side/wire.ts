import { ConnectError } from '@connectrpc/connect';
import { HttpError } from '../http-error.js';

/** What a side process says. `alive`: the call goes on. */
export type Reply =
  | { kind: 'alive' }
  | { kind: 'event'; event: unknown }
  | { kind: 'value'; value: unknown }
  | { kind: 'error'; error: WireError };

interface WireError {
  type: 'connect' | 'http' | 'system';
  message: string;
  code: number | string | undefined;
}

export function toWire(thrown: unknown): WireError {
  if (thrown instanceof ConnectError) return { type: 'connect', message: thrown.rawMessage, code: thrown.code };
  if (thrown instanceof HttpError) return { type: 'http', message: thrown.message, code: thrown.status };
  const { message, code } = thrown as NodeJS.ErrnoException;
  return { type: 'system', message: message ?? String(thrown), code };
}

export function fromWire({ type, message, code }: WireError): Error {
  if (type === 'connect') return new ConnectError(message, code as number);
  if (type === 'http') return new HttpError(code as number, message);
  return Object.assign(new Error(message), { code });
}
