/**
 * Manifests and indexes of OCI and of Docker schema 2: parsed once at the edge, and only the fields that we
 * use.
 */
import { z } from 'zod';
import { type Digest, isDigest, parseDigest } from './digest.ts';
import { RegistryError } from './errors.ts';
import {
  DOCKER_LIST,
  DOCKER_MANIFEST,
  isIndexMediaType,
  isManifestMediaType,
  isNonDistributableMediaType,
  isSchema1MediaType,
  mediaTypeOf,
  OCI_INDEX,
  OCI_MANIFEST,
} from './media-types.ts';
import { normalisePlatform, type Platform } from './platform.ts';

/**
 * The largest manifest that registries are expected to accept, in bytes (OCI distribution 1.1, "Pushing
 * Manifests").
 */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly platform?: Platform;
  readonly annotations: Readonly<Record<string, string>>;
  /** A layer that its licence keeps out of registries. It is fetched from elsewhere, and not copied. */
  readonly foreign: boolean;
}

/** An image or another artifact: both consist of a config and layers. */
export interface ImageManifest {
  readonly kind: 'image';
  readonly mediaType: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly subject?: Descriptor;
}

export interface ImageIndex {
  readonly kind: 'index';
  readonly mediaType: string;
  readonly manifests: readonly Descriptor[];
  readonly subject?: Descriptor;
}

export type Manifest = ImageManifest | ImageIndex;

const platformSchema = z
  .object({ os: z.string(), architecture: z.string(), variant: z.string().optional() })
  .transform(({ os, architecture, variant }) => normalisePlatform(os, architecture, variant));

const descriptorSchema = z
  .object({
    mediaType: z.string().max(255).default('application/octet-stream'),
    digest: z.string().refine(isDigest, 'is not a sha256 or sha512 digest').transform(parseDigest),
    size: z.int().nonnegative(),
    // Old tools wrote lists whose platforms have empty or missing fields: such a child has no platform.
    platform: platformSchema.optional().catch(undefined),
    annotations: z.record(z.string(), z.string()).nullish(),
    urls: z.array(z.string()).nullish(),
  })
  .transform(({ platform, annotations, urls, ...rest }): Descriptor => ({
    ...rest,
    ...(platform === undefined ? {} : { platform }),
    annotations: annotations ?? {},
    foreign: isNonDistributableMediaType(rest.mediaType) && (urls ?? []).length > 0,
  }));

const common = { mediaType: z.string().optional(), subject: descriptorSchema.nullish() };
const imageSchema = z.object({ ...common, config: descriptorSchema, layers: z.array(descriptorSchema) });
const indexSchema = z.object({ ...common, manifests: z.array(descriptorSchema).nullable() });
const headSchema = z.looseObject({
  schemaVersion: z.int().optional(),
  mediaType: z.string().optional(),
  fsLayers: z.unknown().optional(),
  manifests: z.unknown().optional(),
  layers: z.unknown().optional(),
  config: z.unknown().optional(),
});

/**
 * @param contentType the registry's declaration, which the bytes must not contradict (CVE-2021-41190)
 * @throws RegistryError with reason `Invalid`: too large, not JSON, not a manifest, ambiguous, or of Docker
 * schema 1
 */
export function parseManifest(bytes: Uint8Array, contentType?: string): Manifest {
  if (bytes.byteLength > MAX_MANIFEST_BYTES) throw manifestTooLarge();
  const json = parseJson(bytes);
  const mediaType = decideMediaType(check(headSchema, json), mediaTypeOf(contentType));
  if (isIndexMediaType(mediaType)) {
    const { manifests, subject } = check(indexSchema, json);
    return { kind: 'index', mediaType, manifests: manifests ?? [], ...(subject ? { subject } : {}) };
  }
  const { config, layers, subject } = check(imageSchema, json);
  return { kind: 'image', mediaType, config, layers, ...(subject ? { subject } : {}) };
}

/** The blobs that a copy of the image must hold, each once, config first, without foreign layers. */
export function blobsOf(manifest: ImageManifest): Descriptor[] {
  const blobs = [manifest.config, ...manifest.layers].filter((blob) => !blob.foreign);
  return [...new Map(blobs.map((blob) => [blob.digest, blob])).values()];
}

/** The platform in an image's config; undefined when there is none, as in an artifact's. */
export function platformOfConfig(bytes: Uint8Array): Platform | undefined {
  try {
    return platformSchema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
  } catch {
    return undefined;
  }
}

export function manifestTooLarge(): RegistryError {
  return invalid(`a manifest has at most ${MAX_MANIFEST_BYTES} bytes`);
}

function decideMediaType(head: z.infer<typeof headSchema>, declared: string): string {
  const inside = head.mediaType ?? '';
  if (
    head.schemaVersion === 1 ||
    isSchema1MediaType(declared) ||
    isSchema1MediaType(inside) ||
    head.fsLayers !== undefined
  ) {
    throw invalid('manifests of Docker schema 1 are not supported', 'UNSUPPORTED');
  }
  const isIndex = Array.isArray(head.manifests);
  if (isIndex && (head.layers !== undefined || head.config !== undefined)) {
    throw invalid('the manifest is both an index and an image');
  }
  const known = [declared, inside].filter(isManifestMediaType);
  if (known.length === 2 && declared !== inside) {
    throw invalid(`the manifest is declared as ${declared} but says that it is ${inside}`);
  }
  return known[0] ?? guessMediaType(isIndex, `${declared} ${inside}`);
}

function guessMediaType(isIndex: boolean, hints: string): string {
  const docker = hints.includes('vnd.docker.');
  if (isIndex) return docker ? DOCKER_LIST : OCI_INDEX;
  return docker ? DOCKER_MANIFEST : OCI_MANIFEST;
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new RegistryError('the manifest is not JSON', {
      reason: 'Invalid',
      code: 'MANIFEST_INVALID',
      cause,
    });
  }
}

function check<T extends z.ZodType>(schema: T, json: unknown): z.infer<T> {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw invalid(`the manifest is invalid at ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'unknown'}`);
}

function invalid(
  message: string,
  code: 'MANIFEST_INVALID' | 'UNSUPPORTED' = 'MANIFEST_INVALID',
): RegistryError {
  return new RegistryError(message, { reason: 'Invalid', code });
}
