/**
 * Which slots are free: a cluster that is meant to stay keeps its own; what a crash left behind is cleared
 * away.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { withFileLock } from '../../build/file-lock.ts';
import { cacheFolder } from '../../build/go-tool.ts';
import { UserError } from '../../build/program.ts';
import { Cluster } from './cluster.ts';
import { identify, isAlive } from './command.ts';
import { clearSlot, findLab, startLab } from './lab.ts';
import { allSlots, clustersFolder, demoSlot, type Plan, planOf, type Slot } from './slot.ts';
import { type ClusterState, readState, StateFile } from './state.ts';
import type { ClusterTools } from './tools.ts';

export interface SlotOptions {
  /** Default: the first free one except the demo's. */
  readonly slot?: Slot;
  /** The cluster outlives this process; otherwise the next start may take its slot. */
  readonly keep?: boolean;
}

/** No slot, or not the one asked for, is free. */
export class SlotsTakenError extends UserError {
  override readonly name = 'SlotsTakenError';
}

/** Ends whatever cluster is in the slot, and removes everything it made. */
export async function stopCluster(slot: Slot): Promise<void> {
  await withSlotsLocked(() => clearSlot(planOf(slot)));
}

async function withSlotsLocked<T>(work: () => Promise<T>): Promise<T> {
  return await withFileLock(join(clustersFolder, 'slots.lock'), work);
}

/**
 * Clears the first slot that is free and starts an empty lab in it.
 * @throws {SlotsTakenError}
 */
export async function takeSlot(options: SlotOptions, tools: ClusterTools): Promise<Cluster> {
  return await withSlotsLocked(async () => {
    const candidates =
      options.slot === undefined ? allSlots.filter((slot) => slot !== demoSlot) : [options.slot];
    const plan = candidates.map(planOf).find((candidate) => !isTaken(candidate));
    if (!plan) {
      throw new SlotsTakenError(
        `a cluster runs in ${candidates.map((slot) => `slot ${slot}`).join(', ')} already: ` +
          `\`./cluster down --slot ${candidates[0]}\` ends it`,
      );
    }
    await clearSlot(plan);
    return await openSlot(plan, options, tools);
  });
}

/**
 * A slot is taken by a cluster that is meant to stay, or whose owner is alive. Anything else in it is what a
 * crash left.
 */
export function isTaken(plan: Plan): boolean {
  if (!findLab(plan)) return false;
  const state = readState(plan.folder);
  return state !== undefined && ((state.keep && state.phase === 'running') || isAlive(state.owner));
}

async function openSlot(plan: Plan, options: SlotOptions, tools: ClusterTools): Promise<Cluster> {
  const owner = identify(process.pid);
  if (!owner) throw new Error('this process is not in /proc');
  mkdirSync(plan.folder, { recursive: true });
  const state: ClusterState = {
    phase: 'starting',
    keep: options.keep ?? false,
    owner,
    nodes: [],
    tools,
    machines: {},
    programs: {},
    sites: {},
  };
  // Written first: a lab without a state would count as left by a crash.
  const file = new StateFile(plan.folder, state);
  file.update(() => undefined);
  const lab = await startLab(plan, join(tools.pause, 'pause'));
  // The machines have their own /var/lib and /run, which would hide a cache in there.
  const seen = join(plan.folder, 'tools');
  await lab.shell(`mkdir -p ${seen}; mount --bind ${join(cacheFolder(), 'go')} ${seen}`);
  file.update((current) => (current.machines['lab'] = lab.first));
  return new Cluster(plan, file);
}
