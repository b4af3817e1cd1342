/**
 * Makes a site of the "internet": a machine with one link, a name, a certificate, and containerd's
 * configuration for it.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Authority, CertificateFiles } from './pki.ts';
import { run } from './command.ts';
import { Machine } from './machine.ts';
import { bridges, connect } from './network.ts';
import { hostsFolder } from './node.ts';
import type { Plan } from './slot.ts';
import type { SiteRecord } from './state.ts';

export interface SiteOptions {
  /** At most 12 characters. */
  readonly name: string;
  /** A DNS name for nodes and pods; without one the site is known by its address. */
  readonly host?: string;
  /** Default 443 with TLS, else 5000. */
  readonly port?: number;
  /** Gives the site a certificate of the private CA, which the nodes' containerd trusts for it. */
  readonly tls?: boolean;
  readonly credentials?: { readonly username: string; readonly password: string };
  /** When the certificate expires; may be in the past. */
  readonly certificateEnds?: Date;
}

/** What the command line of a site's program is made from. */
export interface SitePlan {
  readonly record: SiteRecord;
  readonly folder: string;
  readonly certificate?: CertificateFiles;
}

/** The site as image references name it: `10.77.100.1:5000`, `registry.example.test`. */
export function registryOf(site: SiteRecord): string {
  const name = site.host ?? site.address;
  return site.tls && site.port === 443 ? name : `${name}:${site.port}`;
}

export function originOf(site: SiteRecord): string {
  return `${site.tls ? 'https' : 'http'}://${registryOf(site)}`;
}

/** Makes the machine, the names and the certificate of a site; the caller starts its program. */
export async function buildSite(
  plan: Plan,
  lab: Machine,
  authority: Authority,
  options: SiteOptions & { readonly number: number; readonly pausePath: string },
): Promise<{ readonly machine: Machine; readonly site: SitePlan }> {
  const tls = options.tls ?? false;
  const record: SiteRecord = {
    name: options.name,
    address: `${plan.internet}.${options.number}`,
    port: options.port ?? (tls ? 443 : 5000),
    tls,
    ...(options.host === undefined ? {} : { host: options.host }),
    ...(options.credentials ? { credentials: options.credentials } : {}),
  };
  const folder = join(plan.folder, 'sites', options.name);
  const machine = await Machine.start(lab, {
    name: `up-${options.name}`,
    folder,
    pausePath: options.pausePath,
    nameServer: plan.nameServer,
    address: record.address,
  });
  await connect(lab, machine, bridges(plan).internet, record.address);
  const certificate = tls
    ? await authority.issue(`site-${options.name}`, {
        commonName: options.host ?? record.address,
        ip: [record.address],
        ...(options.host === undefined ? {} : { dns: [options.host] }),
        ...(options.certificateEnds ? { notAfter: options.certificateEnds } : {}),
      })
    : undefined;
  writeHostsToml(plan, record, authority);
  return { machine, site: { record, folder, ...(certificate ? { certificate } : {}) } };
}

/** Configures the nodes' containerd for the site, as an administrator would. */
function writeHostsToml(plan: Plan, site: SiteRecord, authority: Authority): void {
  const folder = join(hostsFolder(plan), registryOf(site));
  mkdirSync(folder, { recursive: true });
  const ca = site.tls ? `ca = "${authority.certFile}"\n` : '';
  // No [host] besides the server, or the runtime would try the same address twice; by default it takes 30 s
  // to give up.
  const toml = `server = "${originOf(site)}"\ncapabilities = ["pull", "resolve"]\ndial_timeout = "10s"\n${ca}`;
  writeFileSync(join(folder, 'hosts.toml'), toml);
}

/** The command line of a CNCF distribution registry on the site. Its access log is its standard output. */
export async function distributionCommand(
  binary: string,
  { record, folder, certificate }: SitePlan,
): Promise<string[]> {
  const { credentials } = record;
  const htpasswd = join(folder, 'htpasswd');
  if (credentials) writeFileSync(htpasswd, `${credentials.username}:${await bcrypt(credentials.password)}\n`);
  const config = {
    version: '0.1',
    log: { level: 'warn', formatter: 'json', accesslog: { disabled: false } },
    storage: {
      filesystem: { rootdirectory: join(folder, 'registry') },
      delete: { enabled: true },
      maintenance: { uploadpurging: { enabled: false } },
    },
    http: {
      addr: `:${record.port}`,
      ...(certificate ? { tls: { certificate: certificate.cert, key: certificate.key } } : {}),
    },
    ...(credentials ? { auth: { htpasswd: { realm: 'upstream', path: htpasswd } } } : {}),
  };
  const file = join(folder, 'registry.json');
  writeFileSync(file, JSON.stringify(config, undefined, 2));
  return [binary, 'serve', file];
}

/** Every Debian has Perl, whose crypt knows bcrypt, the only hash that distribution accepts. */
async function bcrypt(password: string): Promise<string> {
  const script = 'print crypt($ARGV[0], q($2y$04$) . "larderlarderlarderlard")';
  return (await run(['perl', '-e', script, password])).stdout;
}

/** Writes the "internet"'s names as a zone file; its name server notices a new site a moment later. */
export function writeNames(plan: Plan, sites: readonly SiteRecord[]): void {
  const serial = sites.length + 1;
  const names = sites.flatMap(({ host, address }) =>
    host === undefined ? [] : [`${host}. 1 IN A ${address}`],
  );
  const authority = `. 1 IN SOA internet. nobody.internet. ${serial} 60 60 60 1`;
  writeFileSync(zoneFile(plan), `${[authority, ...names].join('\n')}\n`);
}

function zoneFile(plan: Plan): string {
  return join(plan.folder, 'internet.zone');
}

/** Configuration of the internet's name server: only the sites' names exist. */
export function internetDnsConfig(plan: Plan): string {
  return `. {
  bind ${plan.nameServer}
  file ${zoneFile(plan)} {
    reload 200ms
  }
  errors
}
`;
}
