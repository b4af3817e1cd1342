/** What the webhook sees of a cluster in which everything works. */
import type { ClusterState } from '../../webhook/rewrite.ts';
import { RULES } from './rules.ts';

export const CLUSTER_STATE: ClusterState = {
  proxyAddress: 'localhost:7439',
  rules: RULES,
  policies: [],
  gate: { open: true },
  hasProxy: () => true,
};
