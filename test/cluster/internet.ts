/** The "internet" of a running cluster: its servers, and how to add one. */
import { Resolver } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../../build/program.ts';
import type { Machine } from './machine.ts';
import { Authority } from './pki.ts';
import type { Programs } from './programs.ts';
import { programOf, Site } from './site.ts';
import { buildSite, distributionCommand, type SiteOptions, type SitePlan, writeNames } from './site-build.ts';
import type { Plan } from './slot.ts';
import type { SiteRecord, StateFile } from './state.ts';
import { waitFor } from './wait.ts';

/** What the internet needs from its cluster. */
export interface InternetParts {
  readonly plan: Plan;
  readonly state: StateFile;
  readonly lab: Machine;
  readonly programs: Programs;
  readonly machine: (name: string) => Machine;
  /** Folder of a tool's programs, as the machines see it. */
  readonly inside: (tool: 'registry' | 'pause') => string;
}

export class Internet {
  /** The private CA that signs the sites' certificates, PEM. */
  readonly caFile: string;
  readonly #parts: InternetParts;

  constructor(parts: InternetParts) {
    this.#parts = parts;
    this.caFile = join(parts.plan.folder, 'pki/internet-ca.crt');
  }

  get siteNames(): string[] {
    return Object.keys(this.#parts.state.current.sites);
  }

  /** A cluster begins with `plain` (http, by address) and `example` (TLS, `registry.example.test`). */
  site(name: string): Site {
    const record = this.#parts.state.current.sites[name];
    if (!record) throw new UserError(`there is no site "${name}"; there are ${this.siteNames.join(', ')}`);
    return new Site(record, this.#parts.lab, this.#parts.machine(`up-${name}`), this.caFile);
  }

  /** Adds a registry (CNCF distribution). */
  async addRegistry(options: SiteOptions): Promise<Site> {
    const registry = join(this.#parts.inside('registry'), 'registry');
    return await this.addSite(options, (site) => distributionCommand(registry, site));
  }

  /**
   * Adds any server, such as a hostile upstream: `command` gives its command line. It must listen on the
   * site's port.
   */
  async addSite(
    options: SiteOptions,
    command: (site: SitePlan) => Promise<readonly string[]>,
  ): Promise<Site> {
    const { plan, state, lab, programs, inside } = this.#parts;
    if (state.current.sites[options.name]) throw new Error(`there is a site ${options.name} already`);
    const authority = await Authority.open(join(plan.folder, 'pki'), 'internet');
    const number = this.siteNames.length + 1;
    const { machine, site } = await buildSite(plan, lab, authority, {
      ...options,
      number,
      pausePath: join(inside('pause'), 'pause'),
    });
    state.update((current) => {
      current.machines[machine.name] = machine.first;
      current.sites[options.name] = site.record;
    });
    writeNames(plan, Object.values(state.current.sites));
    await programs.start(programOf(options.name), machine, await command(site));
    await Promise.all([listening(machine, site.record.port), this.#named(site.record)]);
    return this.site(options.name);
  }

  async #named({ host, address }: SiteRecord): Promise<void> {
    if (host === undefined) return;
    const resolver = new Resolver({ timeout: 500, tries: 1 });
    resolver.setServers([this.#parts.plan.nameServer]);
    const known = async (): Promise<boolean> => (await resolver.resolve4(host)).includes(address);
    await waitFor(`${host} has a name`, known, { deadlineMs: 15_000, intervalMs: 20 });
  }
}

async function listening(machine: Machine, port: number): Promise<void> {
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
  const listens = new RegExp(`:${hexPort} \\S+ 0A `);
  const look = (): Promise<boolean> => {
    const tables = ['tcp', 'tcp6'].map((table) =>
      readFileSync(`/proc/${machine.first.pid}/net/${table}`, 'utf8'),
    );
    return Promise.resolve(tables.some((table) => listens.test(table)));
  };
  await waitFor(`${machine.name} listens on port ${port}`, look, { deadlineMs: 15_000, intervalMs: 20 });
}
