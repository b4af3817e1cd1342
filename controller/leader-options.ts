/** What a term of leadership is given by the process. */
import type { Clock } from '../platform/clock.ts';
import type { ConfigOf } from '../platform/config.ts';
import type { KubeClient } from '../platform/kube/client.ts';
import type { Logger } from '../platform/log.ts';
import type { config } from './config.ts';
import type { Figures } from './metrics.ts';

export interface TermOptions {
  readonly settings: ConfigOf<typeof config>;
  readonly client: KubeClient;
  /** Throws when the lease is not ours at this very moment. */
  readonly assertLeader: () => void;
  readonly figures: Figures;
  readonly clock: Clock;
  readonly log: Logger;
}
