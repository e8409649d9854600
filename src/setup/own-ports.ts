/** Settings of a service beside others on this machine. @param port the first of its five */
export const ownPorts = (port: number): NodeJS.ProcessEnv => ({
  DORMOUSE_API_PORT: String(port),
  DORMOUSE_PROXY_PORT: String(port + 1),
  DORMOUSE_GATEWAY_PORT: String(port + 2),
  DORMOUSE_TEMPORAL_PORT: String(port + 3),
  DORMOUSE_TEMPORAL_UI_PORT: String(port + 4),
});
