/** How busy this machine's processors were, whoever kept them so. */
import { cpus } from 'node:os';

export interface ProcessorTime {
  readonly idleMs: number;
  readonly totalMs: number;
}

/** Of all processors together, since the machine started. */
export function processorTime(): ProcessorTime {
  let [idleMs, totalMs] = [0, 0];
  for (const { times } of cpus()) {
    idleMs += times.idle;
    totalMs += Object.values(times).reduce((sum, ms) => sum + ms, 0);
  }
  return { idleMs, totalMs };
}

/** From 0 to 1. */
export function busySince(before: ProcessorTime): number {
  const now = processorTime();
  return 1 - (now.idleMs - before.idleMs) / (now.totalMs - before.totalMs);
}
