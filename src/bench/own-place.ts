import path from 'node:path';
import { ownPorts } from '../setup/own-ports.js';

/** State directory, host id and ports of a service of the bench. @param port the first of its five */
export const ownPlace = (home: string, port: number): NodeJS.ProcessEnv => ({
  DORMOUSE_STATE_DIR: path.join(home, `bench-${port}`),
  DORMOUSE_HOST_ID: `bench-${port}`,
  ...ownPorts(port),
});
