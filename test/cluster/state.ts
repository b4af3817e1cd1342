/** What is recorded about a running cluster, so that another process can use it, or clean up after it. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ProcessIdentity } from './command.ts';

/** A program of the cluster, and how to start it again. */
export interface ProgramRecord {
  readonly machine: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly process: ProcessIdentity;
}

/** A server on the "internet". */
export interface SiteRecord {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** Its DNS name; without one it is known by its address. */
  readonly host?: string;
  /** Served over TLS with a certificate of the private CA. */
  readonly tls: boolean;
  readonly credentials?: { readonly username: string; readonly password: string };
}

export interface ClusterState {
  phase: 'starting' | 'running';
  /** The cluster outlives the process that started it. */
  readonly keep: boolean;
  readonly owner: ProcessIdentity;
  nodes: readonly string[];
  /** Folders with the programs, as this machine sees them. */
  readonly tools: Readonly<Record<string, string>>;
  readonly machines: Record<string, ProcessIdentity>;
  readonly programs: Record<string, ProgramRecord>;
  readonly sites: Record<string, SiteRecord>;
}

/** Undefined when there is none, or it cannot be read: then at most a dead cluster's leftovers are there. */
export function readState(folder: string): ClusterState | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, 'state.json'), 'utf8')) as ClusterState;
  } catch {
    return undefined;
  }
}

/** A cluster's state as this process last saw it, shared through a file. */
export class StateFile {
  readonly folder: string;
  #state: ClusterState;

  constructor(folder: string, state: ClusterState) {
    this.folder = folder;
    this.#state = state;
  }

  get current(): Readonly<ClusterState> {
    return this.#state;
  }

  /**
   * Changes the state on disk in one step; reads it again first, since another process may have changed it.
   */
  update(change: (state: ClusterState) => void): void {
    this.#state = readState(this.folder) ?? this.#state;
    change(this.#state);
    const file = join(this.folder, 'state.json');
    writeFileSync(`${file}.new`, JSON.stringify(this.#state, undefined, 2), { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }
}
