/** What the host told the agent in its last /init. */
export interface AgentState {
  /** Undefined until the first init that carried one. */
  accessToken: string | undefined;
  envVars: Record<string, string>;
  defaultUser: string;
  defaultWorkdir: string | undefined;
}

export const newAgentState = (): AgentState => ({
  accessToken: undefined,
  envVars: {},
  defaultUser: 'user',
  defaultWorkdir: undefined,
});
