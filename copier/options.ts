/** What the copier is built from: its settings, and what it reads from the cluster. */
import type { ConfigOf } from '../platform/config.ts';
import type { Logger } from '../platform/log.ts';
import type { OutboundProxies } from '../registry/transport/http/outbound-proxy.ts';
import type { UpstreamSettingsSource } from '../registry/transport/settings/upstream-settings.ts';
import type { copierConfig } from './config.ts';
import type { PolicyRecords } from './images/pull-policies.ts';
import type { PullSecretSource } from './upstream/keyring.ts';

export type CopierSettings = Pick<
  ConfigOf<typeof copierConfig>,
  | 'connectDeadline'
  | 'responseDeadline'
  | 'silenceDeadline'
  | 'upstreamTransfers'
  | 'upstreamPause'
  | 'limitPause'
  | 'maxLimitPause'
  | 'freshFor'
  | 'revalidateDeadline'
  | 'namespace'
  | 'secretFreshFor'
  | 'storeReaderUrl'
  | 'storeReaderLogin'
  | 'storeWriterUrl'
  | 'storeWriterLogin'
  | 'storeDeadline'
  | 'spoolFolder'
  | 'spoolLimit'
  | 'commitPatience'
  | 'parallelBlobs'
>;

export interface CopierOptions {
  readonly settings: CopierSettings;
  /** The administrator's settings for upstream registries, and for the store when it is another registry. */
  readonly upstreamSettings: UpstreamSettingsSource;
  /** HTTP proxies of the site. */
  readonly proxies?: OutboundProxies;
  readonly secrets: PullSecretSource;
  readonly policies: PolicyRecords;
  readonly log: Logger;
  /** Ends everything that outlives a single request. */
  readonly signal: AbortSignal;
}
