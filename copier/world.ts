/** What the copier is given: its settings, and the two worlds that it stands between. */
import type { ConfigOf } from '../platform/config.ts';
import type { Logger } from '../platform/log.ts';
import type { OutboundProxies } from '../registry/transport/http/outbound-proxy.ts';
import type { UpstreamSettingsSource } from '../registry/transport/settings/upstream-settings.ts';
import type { copierConfig } from './config.ts';
import type { PolicyRecords } from './images/pull-policies.ts';
import type { PullSecretSource } from './upstream/keyring.ts';

export type CopierSettings = Omit<
  ConfigOf<typeof copierConfig>,
  | 'listen'
  | 'metricsListen'
  | 'tlsFolder'
  | 'readers'
  | 'operators'
  | 'kubeconfig'
  | 'upstreamsFile'
  | 'fullname'
  | 'podAddress'
>;

export interface CopierWorld {
  readonly settings: CopierSettings;
  readonly upstreams: UpstreamSettingsSource;
  /** HTTP proxies of the site. */
  readonly proxies?: OutboundProxies;
  readonly secrets: PullSecretSource;
  readonly policies: PolicyRecords;
  readonly log: Logger;
  /** Ends everything that outlives a single request. */
  readonly signal: AbortSignal;
}
