/** The state of a cluster in which everything works, as the webhook sees it. */
import type { ClusterState } from '../../webhook/rewrite.ts';
import { RULES } from './rules.ts';

export const CLUSTER_STATE: ClusterState = {
  proxyAddress: 'localhost:7439',
  rules: RULES,
  policies: [],
  gate: { open: true },
  hasProxy: () => true,
};
