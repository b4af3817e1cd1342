/** All groups of benchmarks, in the order in which they run. */
import { admission } from './admission.ts';
import { cold } from './cold.ts';
import { converge } from './converge.ts';
import type { BenchGroup } from './group.ts';
import { nodes } from './nodes.ts';
import { warm } from './warm.ts';

export const GROUPS: readonly BenchGroup[] = [warm, cold, nodes, converge, admission];
