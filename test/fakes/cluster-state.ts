/** The state of a cluster in which everything works, as the webhook sees it. */
import type { ClusterState } from '../../webhook/rewrite.ts';
import { makeCapability } from '../../registry/core/capability.ts';
import { RULES } from './rules.ts';

/** What the release signs with in tests of units. */
export const CAPABILITY_KEY = { secret: Buffer.alloc(32, 7), signsFrom: 0 };

export const CLUSTER_STATE: ClusterState = {
  proxyAddress: 'localhost:7439',
  capabilities: { of: (name) => makeCapability(name, CAPABILITY_KEY) },
  rules: RULES,
  policies: [],
  gate: { open: true },
  hasProxy: () => true,
};
