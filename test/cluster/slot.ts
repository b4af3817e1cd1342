/** Slots: up to six clusters stand side by side, each with its own addresses, names and folder. */
import { join } from 'node:path';
import { UsageError } from '../../build/program.ts';

export type Slot = 0 | 1 | 2 | 3 | 4 | 5;

/** Where clusters keep their files; short, because the paths of sockets must be. */
export const clustersFolder = '/var/tmp/larder-clusters';

/** Everything about a slot that follows from its number. */
export interface Plan {
  readonly slot: Slot;
  readonly folder: string;
  /** Of the link in this machine's network, and of the cgroup. */
  readonly name: string;
  /** Prefix of the nodes' network: `10.77.0`. */
  readonly lan: string;
  /** Prefix of the upstreams' network: `10.77.100`. */
  readonly internet: string;
  /** Prefix of the pods' networks, one a node: `10.78`. */
  readonly pods: string;
  readonly router: string;
  readonly host: string;
  /** Name server of the "internet"; the nodes use it, and the cluster's DNS forwards to it. */
  readonly nameServer: string;
}

export const serviceNetwork = '10.96.0.0/16';
export const clusterDnsAddress = '10.96.0.10';

/** Slot 0 has nodes 10.77.0.N and pods 10.78.N.0/24, slot 1 has 10.79 and 10.80, and so on. */
export function planOf(slot: Slot): Plan {
  const nodes = `10.${77 + 2 * slot}`;
  return {
    slot,
    folder: join(clustersFolder, String(slot)),
    name: `larder${slot}`,
    lan: `${nodes}.0`,
    internet: `${nodes}.100`,
    pods: `10.${78 + 2 * slot}`,
    router: `${nodes}.0.254`,
    host: `${nodes}.0.253`,
    nameServer: `${nodes}.100.254`,
  };
}

export const allSlots: readonly Slot[] = [0, 1, 2, 3, 4, 5];

/** The demo's cluster stays up, so its slot is taken only by those who name it. */
export const demoSlot: Slot = 3;

/** @throws {UsageError} when the text names no slot. */
export function parseSlot(text: string): Slot {
  const slot = allSlots.find((candidate) => String(candidate) === text);
  if (slot === undefined) throw new UsageError(`a slot is one of ${allSlots.join(', ')}, not "${text}"`);
  return slot;
}
