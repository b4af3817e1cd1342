/** Random hosts, names and references of every shape that the grammar allows, for property tests. */
import fc from 'fast-check';
import type { CachedName } from '../../registry/core/cached-name.ts';
import { digestOf } from '../../registry/core/digest.ts';
import { canonicalIpv6 } from '../../registry/core/host.ts';
import { normaliseName, reference } from '../../registry/core/reference.ts';

const word = fc.stringMatching(/^[a-z0-9]{1,5}$/);

/** Labels with dashes, and those that mean something in cached names. */
const label = fc.oneof(
  word,
  fc.tuple(word, fc.constantFrom('-', '--'), word).map((parts) => parts.join('')),
  fc.tuple(word, fc.nat(99_999)).map(([name, number]) => `${name}-${number}`),
  fc.constantFrom('tenant', `tenant.${'0'.repeat(26)}`, 'host', 'ipv6', 'localhost', '0', 'x-0', 'x-65536'),
);
const port = fc.integer({ min: 1, max: 65535 });
const dotted = fc.array(label, { minLength: 2, maxLength: 4 }).map((labels) => labels.join('.'));
const ipv6 = fc.ipV6().map((address) => canonicalIpv6(`[${address}]`) ?? '[::1]');
const portless = fc.oneof(dotted, fc.ipV4(), ipv6, fc.constant('localhost'));
const withPort = fc.tuple(fc.oneof(portless, label), port).map(([host, number]) => `${host}:${number}`);

/** In the form that a parsed reference has. */
export const arbitraryHost = fc.oneof(portless, withPort).map((host) => normaliseName(host, 'a/b').host);

const component = fc.oneof(
  word,
  fc.tuple(word, fc.constantFrom('.', '_', '__', '-', '---'), word).map((parts) => parts.join('')),
  fc.constantFrom('manifests', 'blobs', 'tags', 'list', 'a.tenant', 'reg.example.com-5000', 'v2'),
);
const repository = fc
  .array(component, { minLength: 1, maxLength: 4 })
  .map((components) => components.join('/'));

export const arbitraryName = fc
  .tuple(arbitraryHost, repository)
  .map(([host, path]) => normaliseName(host, path));

export const arbitraryDigest = fc
  .tuple(fc.uint8Array({ maxLength: 8 }), fc.constantFrom('sha256' as const, 'sha512' as const))
  .map(([bytes, algorithm]) => digestOf(bytes, algorithm));

export const arbitraryTag = fc.stringMatching(/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}$/);

export const arbitraryReference = fc
  .tuple(
    arbitraryName,
    fc.option(arbitraryTag, { nil: undefined }),
    fc.option(arbitraryDigest, { nil: undefined }),
  )
  .map(([name, tag, digest]) =>
    reference(name, tag ?? (digest === undefined ? 'latest' : undefined), digest),
  );

export const arbitraryTenant = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?$/);

/** Public ones, and tenants'. */
export const arbitraryCachedName = fc
  .tuple(fc.option(arbitraryTenant, { nil: undefined }), arbitraryName)
  .map(([tenant, name]): CachedName => (tenant === undefined ? name : { tenant, ...name }));
