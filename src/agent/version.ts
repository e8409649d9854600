/** What the agent reports as `envdVersion`: clients choose what they may ask for by it. */
export const AGENT_VERSION = '0.6.4';
