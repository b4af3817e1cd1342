/** The paths of the OCI distribution API: parsed once into one checked value, and formatted from it. */
import { type Digest, parseDigest } from './digest.ts';
import { type OciErrorCode, RegistryError } from './errors.ts';
import { isRepositoryName, isTag } from './reference.ts';

export type ManifestReference = { readonly tag: string } | { readonly digest: Digest };

/** What a pulling client asks for. `name` is the repository's name as in the path, and valid. */
export type DistributionPath =
  | { readonly kind: 'base' }
  | { readonly kind: 'manifest'; readonly name: string; readonly reference: ManifestReference }
  | { readonly kind: 'blob'; readonly name: string; readonly digest: Digest }
  | { readonly kind: 'tags'; readonly name: string }
  | { readonly kind: 'referrers'; readonly name: string; readonly digest: Digest };

const MAX_PATH_LENGTH = 1024;
const ROUTE = /^\/v2\/(.+)\/(?:(manifests|blobs|referrers)\/([^/]+)|tags\/(list))$/;

/**
 * @param rawPath the path of the request line, not decoded, with or without its query
 * @throws RegistryError, to be sent to the client: 404 outside the pull API, 400 for a bad name, tag or
 * digest
 */
export function parseDistributionPath(rawPath: string): DistributionPath {
  if (rawPath.length > MAX_PATH_LENGTH)
    throw invalid('NAME_INVALID', `a path has at most ${MAX_PATH_LENGTH} characters`);
  const [beforeQuery = ''] = rawPath.split('?', 1);
  if (beforeQuery === '/v2/' || beforeQuery === '/v2') return { kind: 'base' };
  // Some clients escape the colon of a digest. Nothing else may be escaped: a decoded slash would change the
  // name.
  const path = beforeQuery.replaceAll(/%3a/gi, ':');
  const [, name = '', kind, last = ''] = ROUTE.exec(path) ?? [];
  if (name === '') throw notPullApi();
  if (!isRepositoryName(name))
    throw invalid('NAME_INVALID', `${JSON.stringify(name.slice(0, 80))} is not a valid repository name`);
  switch (kind) {
    case 'manifests':
      return { kind: 'manifest', name, reference: parseManifestReference(last) };
    case 'blobs':
      // POST /v2/<name>/blobs/uploads/ begins a push, which is not part of the pull API.
      if (last === 'uploads') throw notPullApi();
      return { kind: 'blob', name, digest: parseDigest(last) };
    case 'referrers':
      return { kind: 'referrers', name, digest: parseDigest(last) };
    default:
      return { kind: 'tags', name };
  }
}

export function formatDistributionPath(value: DistributionPath): string {
  switch (value.kind) {
    case 'base':
      return '/v2/';
    case 'manifest':
      return `/v2/${value.name}/manifests/${formatManifestReference(value.reference)}`;
    case 'blob':
      return `/v2/${value.name}/blobs/${value.digest}`;
    case 'tags':
      return `/v2/${value.name}/tags/list`;
    case 'referrers':
      return `/v2/${value.name}/referrers/${value.digest}`;
  }
}

/**
 * A digest if the text holds a colon, else a tag.
 * @throws RegistryError with reason `Invalid`
 */
export function parseManifestReference(text: string): ManifestReference {
  if (text.includes(':')) return { digest: parseDigest(text) };
  if (!isTag(text))
    throw invalid('MANIFEST_INVALID', `${JSON.stringify(text.slice(0, 80))} is not a valid tag`);
  return { tag: text };
}

export function formatManifestReference(reference: ManifestReference): string {
  return 'tag' in reference ? reference.tag : reference.digest;
}

function notPullApi(): RegistryError {
  return new RegistryError('no such path in the pull API', { reason: 'NotFound', code: 'UNSUPPORTED' });
}

function invalid(code: OciErrorCode, message: string): RegistryError {
  return new RegistryError(message, { reason: 'Invalid', code });
}
