import type { Config } from '../config.js';

/** Where clients reach this service. */
export function clientUrls(config: Config): { api: string; proxy: string; temporalUi: string } {
  const host = config.listen === '0.0.0.0' || config.listen === '::' ? '127.0.0.1' : config.listen;
  return {
    api: `http://${host}:${config.apiPort}`,
    proxy: `http://${host}:${config.proxyPort}`,
    temporalUi: config.temporal.external
      ? `(that of the Temporal at ${config.temporal.address})`
      : `http://127.0.0.1:${config.temporal.uiPort}`,
  };
}

/** The settings of every client generation (contract 1.1), to be sourced by a shell. Holds a key: mode 0600. */
export function shellFile(config: Config, apiKey: string): string {
  const { api, proxy } = clientUrls(config);
  const settings = {
    AGENTBOX_API_KEY: apiKey,
    AGENTBOX_API_URL: api,
    AGENTBOX_SANDBOX_URL: proxy,
    UCLOUD_SANDBOX_API_KEY: apiKey,
    UCLOUD_SANDBOX_API_URL: api,
    UCLOUD_SANDBOX_URL: proxy,
    E2B_API_KEY: apiKey,
    E2B_API_URL: api,
    E2B_SANDBOX_URL: proxy,
  };
  return `${Object.entries(settings)
    .map(([name, value]) => `export ${name}=${value}`)
    .join('\n')}\n`;
}

export function snippet(config: Config, apiKey: string): string {
  const { api, temporalUi } = clientUrls(config);
  return `
Dormouse is up.

  API          ${api}
  Temporal UI  ${temporalUi}
  API key      ${apiKey}

In another shell, in this directory:

  . ./.dormouse.env && pip install ucloud_sandbox==1.2.0 && python3 - <<'EOF'
  from ucloud_sandbox import Sandbox
  sandbox = Sandbox.create()
  print(sandbox.commands.run("uname -a").stdout)
  sandbox.beta_pause()
  print(Sandbox.connect(sandbox.sandbox_id).commands.run("uptime").stdout)
  sandbox.kill()
  EOF

Ctrl-C stops the service; sandboxes stay.
`;
}
