import type { Config } from '../config.js';

/** Where clients reach this service. */
export function clientUrls(config: Config): { api: string; proxy: string; temporalUi: string } {
  return {
    api: urlOf(config, 'api', config.apiPort),
    proxy: urlOf(config, 'sandbox', config.proxyPort),
    temporalUi: config.temporal.external
      ? `(that of the Temporal at ${config.temporal.address})`
      : `http://127.0.0.1:${config.temporal.uiPort}`,
  };
}

/** A certificate that was given names the domain and what is below; one of our own names this machine. */
function urlOf({ listen, tls, domain }: Config, label: string, port: number): string {
  const everywhere = listen === '0.0.0.0' || listen === '::';
  if (tls === undefined) return `http://${everywhere ? '127.0.0.1' : listen}:${port}`;
  if (tls.local !== undefined) return `https://${everywhere || listen === '127.0.0.1' ? 'localhost' : listen}:${port}`;
  return `https://${label}.${domain}${port === 443 ? '' : `:${port}`}`;
}

/** What makes clients trust a certificate of our own: Python's take one file for all, Node's take one more. */
export const trustSettings = ({ tls }: Config): Record<string, string> =>
  tls?.local === undefined ? {} : { SSL_CERT_FILE: tls.local.bundleFile, NODE_EXTRA_CA_CERTS: tls.local.caFile };

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
    ...trustSettings(config),
  };
  return `${Object.entries(settings)
    .map(([name, value]) => `export ${name}=${value}`)
    .join('\n')}\n`;
}

export function snippet(config: Config, apiKey: string): string {
  const { api, temporalUi } = clientUrls(config);
  const trust = Object.entries(trustSettings(config)).map(([name, value]) => `${name}=${value}`);
  const trustLine =
    trust.length === 0
      ? ''
      : `
The certificate is this service's own. What makes the SDKs for Python (e2b and ucloud_sandbox alike) and Node trust it
stands in .dormouse.env, too:

  export ${trust.join(' ')}
`;
  return `
Dormouse is up.

  API          ${api}
  Temporal UI  ${temporalUi}
  API key      ${apiKey}
${trustLine}
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
