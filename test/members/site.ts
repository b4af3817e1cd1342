/** The registry for members only on the "internet" of a test cluster. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Cluster, testPrograms } from '../cluster/cluster.ts';
import { buildImage, type Platform } from '../cluster/images.ts';
import { RegistryClient } from '../cluster/registry-client.ts';
import type { Site } from '../cluster/site.ts';
import { waitFor } from '../cluster/wait.ts';
import type { MembersSettings } from './main.ts';
import type { Members, TokenLogEntry } from './token-server.ts';

const NAME = 'members';
const PROGRAM = join(import.meta.dirname, 'main.ts');
const PORTS = { registry: 5000, open: 5001, tokens: 5002 };
const PLATFORM: Platform = process.arch === 'arm64' ? 'linux/arm64' : 'linux/amd64';

export interface MemberImage {
  /** By tag. */
  readonly reference: string;
  /** Of the index. */
  readonly digest: string;
  /** Of the layer with the program. */
  readonly layer: string;
}

export class MembersSite {
  readonly #site: Site;
  readonly #folder: string;

  private constructor(site: Site, folder: string) {
    this.#site = site;
    this.#folder = folder;
  }

  /** Starts it, or finds the one that runs. */
  static async start(cluster: Cluster, members: Members): Promise<MembersSite> {
    const { internet, plan } = cluster;
    const folder = join(plan.folder, 'sites', NAME);
    const command = ({ record }: { record: { address: string } }): Promise<string[]> => {
      write(folder, members);
      const registry = join(cluster.inside('registry'), 'registry');
      const settings: MembersSettings = { folder, registry, address: record.address, ports: PORTS };
      return Promise.resolve([process.execPath, PROGRAM, JSON.stringify(settings)]);
    };
    const site = internet.siteNames.includes(NAME)
      ? internet.site(NAME)
      : await internet.addSite({ name: NAME, port: PORTS.registry }, command);
    const found = new MembersSite(site, folder);
    writeFileSync(join(folder, 'tokens.log'), '');
    found.rewrite(members);
    await waitFor('the door for pushing', () => found.#isOpen(), { deadlineMs: 15_000, intervalMs: 20 });
    return found;
  }

  /** Host and port, as image references begin. */
  get host(): string {
    return this.#site.registry;
  }

  /** Who may read what, from now on. */
  rewrite(members: Members): void {
    write(this.#folder, members);
  }

  async push(repository: string, tag: string): Promise<MemberImage> {
    const seed = `${repository}:${tag}`;
    const image = buildImage({ seed, platforms: [PLATFORM], layers: [], program: await testPrograms() });
    await this.#open((client) => client.push(repository, tag, image));
    const layer = image.images[0]?.blobs[1]?.digest ?? '';
    return { reference: `${this.host}/${repository}:${tag}`, digest: image.index.digest, layer };
  }

  /** Who asked for tokens for a repository, in order; undefined stands for wrong credentials. */
  askedFor(repository: string): (string | undefined)[] {
    const lines = readFileSync(join(this.#folder, 'tokens.log'), 'utf8').split('\n').filter(Boolean);
    return lines
      .map((line) => JSON.parse(line) as TokenLogEntry)
      .filter(({ repositories }) => repositories.includes(repository))
      .map(({ user }) => user);
  }

  async #isOpen(): Promise<boolean> {
    return this.#open(async (client) => {
      const { statusCode, body } = await client.request('/v2/');
      await body.dump();
      return statusCode === 200;
    });
  }

  async #open<T>(work: (client: RegistryClient) => Promise<T>): Promise<T> {
    const { address } = this.#site.record;
    const client = new RegistryClient({ origin: `http://${address}:${PORTS.open}`, address });
    try {
      return await work(client);
    } finally {
      await client.close();
    }
  }
}

/** Whole or not at all: the token server may read at any moment. */
function write(folder: string, members: Members): void {
  const file = join(folder, 'members.json');
  writeFileSync(`${file}.new`, JSON.stringify(members));
  renameSync(`${file}.new`, file);
}
