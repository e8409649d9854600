import { pino, type Logger } from 'pino';

export type { Logger } from 'pino';

/** One JSON line per event on standard output. Never hand it a key, a token, an environment value or a request body. */
export const createLogger = (role: string, level: string): Logger => pino({ level, base: { role } });
