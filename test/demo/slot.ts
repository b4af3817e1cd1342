/** Where the demo's cluster runs: the last slot, so that tests, which take the first free one, do not meet it. */
import { allSlots, parseSlot } from '../cluster/slot.ts';

export const DEMO_SLOT = parseSlot(String(Math.max(...allSlots)));
