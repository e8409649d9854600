import type { TestProject } from 'vitest/node';
import type { Config } from '../../src/config.js';
import { startService } from './running-service.js';

declare module 'vitest' {
  export interface ProvidedContext {
    service: { config: Config; apiKey: string };
  }
}

/** One service for the whole run. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const service = await startService('e2e', 0);
  project.provide('service', { config: service.config, apiKey: service.apiKey });
  return () => service.end();
}
