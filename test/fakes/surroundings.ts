/** What the webhook sees of a cluster in which everything works. */
import type { Surroundings } from '../../webhook/rewrite.ts';
import { RULES } from './rules.ts';

export const SURROUNDINGS: Surroundings = {
  proxyAddress: 'localhost:7439',
  rules: RULES,
  policies: [],
  gate: { open: true },
  hasProxy: () => true,
};
