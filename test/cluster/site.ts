/** A server on the "internet" of a running cluster: what was asked of it, what it holds, and the faults of its link. */
import { readFileSync } from 'node:fs';
import { AccessLog, type AccessLogEntry } from './access-log.ts';
import type { Machine } from './machine.ts';
import { Link } from './network.ts';
import { originOf, registryOf } from './site-build.ts';
import { RegistryClient } from './registry-client.ts';
import type { SiteRecord } from './state.ts';

export class Site {
  readonly record: SiteRecord;
  /** As an image reference begins. */
  readonly registry: string;
  readonly machine: Machine;
  /** Cut, black hole, refusal, slowness, and their end. */
  readonly link: Link;
  readonly #caFile: string;
  readonly #log: AccessLog;

  constructor(record: SiteRecord, lab: Machine, machine: Machine, caFile: string) {
    this.record = record;
    this.registry = registryOf(record);
    this.machine = machine;
    this.link = new Link(lab, machine);
    this.#caFile = caFile;
    this.#log = new AccessLog(machine.logs(programOf(record.name)).stdout);
  }

  /** What was asked of it, from the beginning or from a `mark`. */
  accessLog(from?: number): AccessLogEntry[] {
    return this.#log.entries(from);
  }

  /** The present end of the access log. */
  mark(): number {
    return this.#log.mark();
  }

  /** Speaks to it from this machine, over the link that the faults are on; close it after use. */
  client(): RegistryClient {
    const { address, credentials, tls } = this.record;
    return new RegistryClient({
      origin: originOf(this.record),
      address,
      ...(tls ? { ca: readFileSync(this.#caFile, 'utf8') } : {}),
      ...(credentials ? { credentials } : {}),
    });
  }
}

/** The name of a site's program among the cluster's. */
export function programOf(site: string): string {
  return `site-${site}`;
}
