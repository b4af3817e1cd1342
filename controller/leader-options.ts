/** What every part of a leader is given by the process. */
import type { Clock } from '../platform/clock.ts';
import type { ConfigOf } from '../platform/config.ts';
import type { KubeClient } from '../platform/kube/client.ts';
import type { Logger } from '../platform/log.ts';
import type { controllerConfig } from './config.ts';
import type { ControllerMetrics } from './metrics.ts';

export interface LeaderOptions {
  readonly settings: ConfigOf<typeof controllerConfig>;
  readonly client: KubeClient;
  /** Throws unless the lease is ours at this very moment. */
  readonly assertLeader: () => void;
  readonly metrics: ControllerMetrics;
  readonly clock: Clock;
  readonly log: Logger;
}
