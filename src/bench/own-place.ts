import path from 'node:path';

/** State directory, host id and ports of a service of the bench. @param port the first of its five */
export const ownPlace = (home: string, port: number): NodeJS.ProcessEnv => ({
  DORMOUSE_STATE_DIR: path.join(home, `bench-${port}`),
  DORMOUSE_HOST_ID: `bench-${port}`,
  DORMOUSE_API_PORT: String(port),
  DORMOUSE_PROXY_PORT: String(port + 1),
  DORMOUSE_GATEWAY_PORT: String(port + 2),
  DORMOUSE_TEMPORAL_PORT: String(port + 3),
  DORMOUSE_TEMPORAL_UI_PORT: String(port + 4),
});
