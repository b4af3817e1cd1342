/** The hostile registry on the "internet" of a test cluster. */
import { join } from 'node:path';
import type { Cluster } from '../cluster/cluster.ts';
import { Authority } from '../cluster/pki.ts';
import type { Site } from '../cluster/site.ts';
import { TLS_PORT } from '../larder/install.ts';
import type { HostileSettings } from './main.ts';
import type { Asked } from './registry.ts';

const FIRST_PORT = 5000;
const REFUSING_PORT = 5100;
/** How many registries there are, each at a port of its own from the first on. */
const PORTS = 40;
const PROGRAM = join(import.meta.dirname, 'main.ts');

export class HostileSite {
  readonly #site: Site;
  /** Host of registries that refuse connections once armed. */
  readonly refusing: string;
  /** Host of registries whose certificate has expired once armed. */
  readonly expiring: string;

  private constructor(site: Site) {
    this.#site = site;
    this.refusing = `${site.record.address}:${REFUSING_PORT}`;
    this.expiring = `${site.record.address}:${TLS_PORT}`;
  }

  /** The hostile registry of the cluster, started on first use. */
  static async of(cluster: Cluster): Promise<HostileSite> {
    const { plan, internet } = cluster;
    const name = 'hostile';
    if (internet.siteNames.includes(name)) return new HostileSite(internet.site(name));
    const authority = await Authority.open(join(plan.folder, 'pki'), 'internet');
    const site = await internet.addSite({ name }, async ({ record }) => {
      const certificate = { commonName: record.address, ip: [record.address] };
      const settings: HostileSettings = {
        deadHost: `${plan.internet}.250`,
        ports: Array.from({ length: PORTS }, (_, index) => FIRST_PORT + index),
        refusingPort: REFUSING_PORT,
        tls: {
          port: TLS_PORT,
          good: await authority.issue(`${name}-good`, certificate),
          armed: await authority.issue(`${name}-expired`, { ...certificate, notAfter: new Date(0) }),
        },
      };
      return [process.execPath, PROGRAM, JSON.stringify(settings)];
    });
    return new HostileSite(site);
  }

  /** Host of the n-th registry; clients take each for a separate one. */
  host(index: number): string {
    if (index >= PORTS) throw new RangeError(`there are ${PORTS} hostile registries`);
    return `${this.#site.record.address}:${FIRST_PORT + index}`;
  }

  /** Drops every packet to one of its registries until `disarm`. */
  async blackHole(host: string): Promise<void> {
    const port = host.slice(host.lastIndexOf(':') + 1);
    const rules = `table inet hole { chain arriving { type filter hook input priority 1; tcp dport ${port} drop; }; }`;
    await this.#site.machine.run(['nft', '-f', '-'], { stdin: `${rules}\n` });
  }

  async arm(): Promise<void> {
    await this.#order('arm');
  }

  async disarm(): Promise<void> {
    await this.#site.machine.shell('nft delete table inet hole 2>/dev/null || true');
    await this.#order('disarm');
  }

  async asked(): Promise<Asked[]> {
    return JSON.parse(await this.#order('requests')) as Asked[];
  }

  async #order(what: string): Promise<string> {
    const client = this.#site.client();
    try {
      const answer = await client.request(`/hostile/${what}`);
      return await answer.body.text();
    } finally {
      await client.close();
    }
  }
}
