import type { SandboxView } from '../../workflows/view.js';
import type { ApiDeps } from './deps.js';
import { publicState } from '../gateway/sandbox-query.js';
import { accessToken, trafficToken } from '../keys/access-token.js';

/** Required by the clients' parsers, read by none. */
const CLIENT_ID = 'dormouse';

type Presenting = Pick<ApiDeps, 'tokensKey' | 'domain'>;

/** Answer of create, connect and resume. */
export const presentSandbox = ({ tokensKey, domain }: Presenting, { spec }: SandboxView) => ({
  templateID: spec.templateId,
  sandboxID: spec.id,
  clientID: CLIENT_ID,
  alias: spec.templateId,
  envdVersion: spec.envdVersion,
  envdAccessToken: accessToken(tokensKey, spec),
  trafficAccessToken: spec.allowPublicTraffic === false ? trafficToken(tokensKey, spec) : null,
  domain,
});

/** An item of a list. */
export const presentListed = (view: SandboxView) => ({
  templateID: view.spec.templateId,
  sandboxID: view.spec.id,
  clientID: CLIENT_ID,
  alias: view.spec.templateId,
  startedAt: new Date(view.startedAt).toISOString(),
  endAt: new Date(view.endAt).toISOString(),
  cpuCount: view.spec.cpuCount,
  memoryMB: view.spec.memoryMiB,
  diskSizeMB: view.spec.diskMiB,
  metadata: view.spec.metadata,
  state: publicState(view) ?? 'paused',
  envdVersion: view.spec.envdVersion,
});

const presentNetwork = ({ allowPublicTraffic, maskRequestHost }: SandboxView['spec']) =>
  allowPublicTraffic === undefined && maskRequestHost === undefined
    ? {}
    : {
        network: {
          allowPublicTraffic: allowPublicTraffic !== false,
          ...(maskRequestHost === undefined ? {} : { maskRequestHost }),
        },
      };

/** Answer of get. */
export const presentDetail = (deps: Presenting, view: SandboxView) => ({
  ...presentListed(view),
  domain: deps.domain,
  envdAccessToken: accessToken(deps.tokensKey, view.spec),
  allowInternetAccess: view.spec.allowInternetAccess,
  ...(publicState(view) === 'paused' && view.image !== undefined
    ? { pauseMode: view.image.kind === 'disk' ? 'filesystem' : 'full' }
    : {}),
  ...presentNetwork(view.spec),
  lifecycle: { onTimeout: view.spec.onTimeout, autoResume: view.spec.autoResume },
});
