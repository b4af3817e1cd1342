/** What CNCF distribution is told: the configuration file and the environment of one instance. */
import type { ListenAddress } from '../platform/settings.ts';
import { STORE_TOKEN_AUDIENCE, STORE_TOKEN_ISSUER } from '../registry/core/store-token.ts';

export const ROLES = ['reader', 'writer'] as const;
export type Role = (typeof ROLES)[number];

/** Where images are kept: a storage driver of distribution and its parameters. */
export interface StorageDriver {
  readonly name: string;
  readonly parameters: Readonly<Record<string, unknown>>;
}

export interface InstanceSettings {
  readonly role: Role;
  readonly listen: ListenAddress;
  /** Port on loopback for distribution's own metrics. */
  readonly debugPort: number;
  /** File with the public keys whose tokens this instance accepts. */
  readonly jwksFile: string;
  /** Signs the state of an upload that the client carries from request to request. */
  readonly httpSecret: string;
  /** How long requests under way may take once the instance is asked to stop. */
  readonly drainMs: number;
  readonly storage: StorageDriver;
}

/**
 * The configuration of an instance, to be written as JSON (which distribution's YAML parser reads).
 * See https://distribution.github.io/distribution/about/configuration/.
 */
export function distributionConfig(settings: InstanceSettings): Record<string, unknown> {
  return {
    version: '0.1',
    // One line in Combined Log Format for each request, on standard output; distribution's own events, as JSON, on
    // standard error. At `info` it would write a second line for every request.
    log: { level: 'warn', formatter: 'json', fields: { process: 'store', instance: settings.role } },
    storage: {
      [settings.storage.name]: settings.storage.parameters,
      // A descriptor cache would be stale after a collection, and after every write of the other instance.
      ...(settings.role === 'reader' ? readOnly() : writable()),
      // A node may not be able to reach the object store; what is served here comes from here.
      redirect: { disable: true },
    },
    auth: {
      token: {
        // Required, but nobody is meant to go there: callers sign their tokens themselves.
        realm: 'urn:larder:self-signed',
        service: STORE_TOKEN_AUDIENCE,
        issuer: STORE_TOKEN_ISSUER,
        jwks: settings.jwksFile,
        signingalgorithms: ['ES256'],
      },
    },
    http: {
      addr: `${formatHost(settings.listen.host)}:${settings.listen.port}`,
      secret: settings.httpSecret,
      draintimeout: `${settings.drainMs}ms`,
      debug: { addr: `127.0.0.1:${settings.debugPort}`, prometheus: { enabled: true } },
    },
    validation: {
      manifests: {
        // Only the platforms that the cluster has are copied, while the index is kept as it is.
        indexes: { platforms: 'none' },
        // Layers that lie elsewhere by their licence. Nothing of ours follows these URLs.
        urls: { allow: ['^https?://'] },
      },
    },
  };
}

function readOnly(): Record<string, unknown> {
  return { maintenance: { readonly: { enabled: true }, uploadpurging: { enabled: false } } };
}

function writable(): Record<string, unknown> {
  const uploadpurging = { enabled: true, age: '24h', interval: '6h', dryrun: false };
  return { delete: { enabled: true }, maintenance: { uploadpurging } };
}

function formatHost(host = ''): string {
  return host.includes(':') ? `[${host}]` : host;
}

/**
 * The environment of an instance: ours, less what distribution would take for settings. Kubernetes itself sets
 * REGISTRY_PORT and the like in every pod of a namespace that has a Service named `registry`.
 */
export function distributionEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.entries(env).filter(([name]) => !/^(REGISTRY|OTEL|LARDER)_/.test(name));
  // Otherwise it would send a trace of every request to a collector on localhost.
  return { ...Object.fromEntries(kept), OTEL_TRACES_EXPORTER: 'none' };
}
