import { Sandbox } from 'e2b';
import type { RunningService } from './running-service.js';

/** The published npm client on a sandbox that is there; it connects, and so wakes a sleeping one. */
export const clientOf = (service: Pick<RunningService, 'config' | 'apiKey'>, id: string): Promise<Sandbox> =>
  Sandbox.connect(id, {
    apiKey: service.apiKey,
    validateApiKey: false,
    apiUrl: `http://127.0.0.1:${service.config.apiPort}`,
    sandboxUrl: `http://127.0.0.1:${service.config.proxyPort}`,
    timeoutMs: 600_000,
  } as Parameters<typeof Sandbox.connect>[1]);
