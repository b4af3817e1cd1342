/** `make demo-down`: ends the demo's cluster and removes everything it made. */
import { parseArgs } from 'node:util';
import { requirePrerequisites } from '../../build/prerequisites.ts';
import { runProgram } from '../../build/program.ts';
import { demoSlot } from '../cluster/slot.ts';
import { stopCluster } from '../cluster/take-slot.ts';

await runProgram(
  'make demo-down\n\nRemoves everything that `make demo` left running. Needs Linux and root.',
  async (argv) => {
    parseArgs({ args: [...argv] });
    requirePrerequisites('linux', 'root');
    await stopCluster(demoSlot);
    console.log("The demo's cluster is gone, with everything it made.");
    return undefined;
  },
);
