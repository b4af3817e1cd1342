/** The manifests of a repository: read whole and verified, written byte for byte. */
import { type Digest, digestOf, isDigest, verifyDigest } from '../core/digest.ts';
import type { ManifestReference } from '../core/distribution-path.ts';
import { type Manifest, manifestTooLarge, MAX_MANIFEST_BYTES, parseManifest } from '../core/manifest.ts';
import { MANIFEST_ACCEPT, mediaTypeOf } from '../core/media-types.ts';
import { abandon, drain, readBody } from '../transport/http/body.ts';
import type { HttpResponse } from '../transport/http/messages.ts';
import { networkError } from '../transport/http/http-error.ts';
import type { RepositoryClient } from './repository-client.ts';

export interface ManifestHead {
  /** Undefined when the registry does not say. */
  readonly digest: Digest | undefined;
  readonly mediaType: string;
  /** Bytes; undefined when the registry does not say. */
  readonly size: number | undefined;
}

/** A manifest, byte for byte as a registry has it. Its bytes have the digest. */
export interface VerifiedManifest {
  readonly bytes: Uint8Array;
  readonly digest: Digest;
  readonly manifest: Manifest;
}

export interface ReadOptions {
  readonly signal: AbortSignal;
}

/** @throws RegistryError */
export async function headManifest(
  client: RepositoryClient,
  reference: ManifestReference,
  options: ReadOptions,
): Promise<ManifestHead> {
  const response = await request(client, 'HEAD', reference, options);
  drain(response);
  return headOf(response);
}

/**
 * Verifies it against the digest asked for, or else against the one that the registry states.
 * @throws RegistryError, with reason `Invalid` when it is too large or not a manifest
 */
export async function getManifest(
  client: RepositoryClient,
  reference: ManifestReference,
  options: ReadOptions,
): Promise<VerifiedManifest> {
  const response = await request(client, 'GET', reference, options);
  const head = headOf(response);
  const bytes = await readManifestBody(response, head.size);
  const expected = 'digest' in reference ? reference.digest : head.digest;
  if (expected !== undefined) verifyDigest(bytes, expected);
  const digest = expected ?? digestOf(bytes);
  return { bytes, digest, manifest: parseManifest(bytes, response.header('content-type')) };
}

/**
 * @throws RegistryError, of code `MANIFEST_BLOB_UNKNOWN` when the registry lacks something that the manifest
 * refers to
 */
export async function putManifest(
  client: RepositoryClient,
  reference: ManifestReference,
  { manifest, bytes }: VerifiedManifest,
  signal: AbortSignal,
): Promise<void> {
  const response = await client.send({
    method: 'PUT',
    url: client.url({ kind: 'manifest', reference }),
    headers: { 'content-type': manifest.mediaType },
    body: bytes,
    actions: ['pull', 'push'],
    accept: [201],
    signal,
  });
  drain(response);
}

/**
 * Deletes a tag (the tag only), or with a digest the manifest and every tag of it.
 * @returns false when it was not there
 * @throws RegistryError
 */
export async function deleteManifest(
  client: RepositoryClient,
  reference: ManifestReference,
  signal: AbortSignal,
): Promise<boolean> {
  const response = await client.send({
    method: 'DELETE',
    url: client.url({ kind: 'manifest', reference }),
    actions: ['delete'],
    accept: [200, 202, 204, 404],
    signal,
  });
  drain(response);
  return response.status !== 404;
}

async function request(
  client: RepositoryClient,
  method: 'GET' | 'HEAD',
  reference: ManifestReference,
  { signal }: ReadOptions,
): Promise<HttpResponse> {
  return await client.send({
    method,
    url: client.url({ kind: 'manifest', reference }),
    headers: { accept: MANIFEST_ACCEPT },
    actions: ['pull'],
    accept: [200],
    signal,
  });
}

function headOf(response: HttpResponse): ManifestHead {
  const digest = response.header('docker-content-digest') ?? '';
  const length = response.header('content-length') ?? '';
  return {
    digest: isDigest(digest) ? digest : undefined,
    mediaType: mediaTypeOf(response.header('content-type')),
    size: /^[0-9]{1,15}$/.test(length) ? Number(length) : undefined,
  };
}

async function readManifestBody(response: HttpResponse, announced: number | undefined): Promise<Uint8Array> {
  if (announced !== undefined && announced > MAX_MANIFEST_BYTES) {
    abandon(response);
    throw manifestTooLarge();
  }
  try {
    return await readBody(response.body, MAX_MANIFEST_BYTES, manifestTooLarge);
  } catch (error) {
    throw networkError(error, response.url);
  }
}
