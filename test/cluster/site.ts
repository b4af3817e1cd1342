/**
 * A server on the "internet" of a running cluster: its access log, a client for it, and the faults of its
 * link.
 */
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
  /** To cut, black-hole, reject, slow, and restore. */
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

  /** The requests it has received, from the beginning or from a `mark`. */
  accessLog(from?: number): AccessLogEntry[] {
    return this.#log.entries(from);
  }

  /** The current end of the access log. */
  mark(): number {
    return this.#log.mark();
  }

  /** A client on this machine, over the link that the faults are on; close it after use. */
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
