/** The configuration file and the environment of one instance of CNCF distribution. */
import type { ListenAddress } from '../platform/settings.ts';
import { bracketed } from '../registry/core/host.ts';
import { STORE_TOKEN_AUDIENCE, STORE_TOKEN_ISSUER } from '../registry/core/store-token.ts';

export const INSTANCE_ROLES = ['reader', 'writer'] as const;
export type InstanceRole = (typeof INSTANCE_ROLES)[number];

/** A storage driver of distribution and its parameters: where the images are kept. */
export interface StorageDriver {
  readonly name: string;
  readonly parameters: Readonly<Record<string, unknown>>;
}

export interface InstanceSettings {
  readonly role: InstanceRole;
  readonly listen: ListenAddress;
  /** Loopback port of distribution's debug server, which serves its metrics. */
  readonly debugPort: number;
  /** File with the public keys of the tokens that this instance accepts. */
  readonly jwksFile: string;
  /** Signs the state of an upload that the client carries from request to request. */
  readonly httpSecret: string;
  /** How long requests under way may take after the instance is told to stop. */
  readonly drainMs: number;
  readonly storage: StorageDriver;
}

/**
 * The configuration of an instance, to be written as JSON, which distribution's YAML parser also reads.
 * See https://distribution.github.io/distribution/about/configuration/.
 */
export function distributionConfig(settings: InstanceSettings): Record<string, unknown> {
  return {
    version: '0.1',
    // The access log goes to standard output, one line per request in Combined Log Format; distribution's own
    // events go to standard error as JSON. At `info` they would include a second line for every request.
    log: { level: 'warn', formatter: 'json', fields: { process: 'store', instance: settings.role } },
    storage: {
      [settings.storage.name]: settings.storage.parameters,
      // No descriptor cache: it would be stale after a collection and after every write of the other
      // instance.
      ...(settings.role === 'reader' ? readOnly() : writable()),
      // No redirects to the object store, which nodes may not be able to reach.
      redirect: { disable: true },
    },
    auth: {
      token: {
        // Required by distribution but never used: our callers sign their own tokens.
        realm: 'urn:larder:self-signed',
        service: STORE_TOKEN_AUDIENCE,
        issuer: STORE_TOKEN_ISSUER,
        jwks: settings.jwksFile,
        signingalgorithms: ['ES256'],
      },
    },
    http: {
      addr: `${bracketed(settings.listen.host ?? '')}:${settings.listen.port}`,
      secret: settings.httpSecret,
      draintimeout: `${settings.drainMs}ms`,
      debug: { addr: `127.0.0.1:${settings.debugPort}`, prometheus: { enabled: true } },
    },
    validation: {
      manifests: {
        // An index is stored unchanged, although only the platforms of the cluster are copied.
        indexes: { platforms: 'none' },
        // Foreign layers, which their licence keeps elsewhere. Larder does not follow these URLs.
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

/**
 * The environment of an instance: ours, without variables that distribution would take for settings.
 * Kubernetes sets REGISTRY_PORT and the like in every pod of a namespace that has a Service named `registry`.
 */
export function distributionEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.entries(env).filter(([name]) => !/^(REGISTRY|OTEL|LARDER)_/.test(name));
  // By default it would send a trace of every request to a collector on localhost.
  return { ...Object.fromEntries(kept), OTEL_TRACES_EXPORTER: 'none' };
}
