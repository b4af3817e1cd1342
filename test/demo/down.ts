/** `make demo-down`: ends the demo's cluster and removes all that it made. */
import { stopCluster } from '../cluster/take-slot.ts';
import { demoSlot } from '../cluster/slot.ts';

await stopCluster(demoSlot);
console.log('The cluster of the demo is gone, with everything that it made.');
