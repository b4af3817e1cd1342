/** Listing a repository's tags, and the artifacts that refer to a manifest. */
import { z } from 'zod';
import { referrersTag } from '../core/attached-tag.ts';
import { type Digest, isDigest } from '../core/digest.ts';
import { RegistryError } from '../core/errors.ts';
import { MAX_MANIFEST_BYTES } from '../core/manifest.ts';
import { isTag } from '../core/reference.ts';
import { drain, readBody } from '../transport/http/body.ts';
import type { HttpResponse } from '../transport/http/messages.ts';
import { getManifest } from './manifests.ts';
import type { RepositoryClient } from './repository-client.ts';

/** The descriptor of a referrer with all of its fields, as the registry has it. */
export type ReferrerJson = z.infer<typeof referrerSchema>;

const referrerSchema = z.looseObject({
  mediaType: z.string(),
  digest: z.string().refine(isDigest, 'is not a digest'),
  size: z.int().nonnegative(),
  artifactType: z.string().optional(),
});
const referrersSchema = z.object({ manifests: z.array(referrerSchema).nullish() });
const tagsSchema = z.object({ tags: z.array(z.string()).nullable() });

/** Every tag, page by page. @throws RegistryError */
export async function* listTags(client: RepositoryClient, signal: AbortSignal): AsyncGenerator<string> {
  let next: URL | undefined = client.url({ kind: 'tags' });
  while (next !== undefined) {
    const response: HttpResponse = await read(client, next, [200], signal);
    const { tags } = parse(client, tagsSchema, await body(client, response));
    yield* (tags ?? []).filter(isTag);
    next = nextPage(client, response, next);
  }
}

/** @throws RegistryError */
export async function allTags(client: RepositoryClient, signal: AbortSignal): Promise<readonly string[]> {
  const tags: string[] = [];
  for await (const tag of listTags(client, signal)) tags.push(tag);
  return tags;
}

/**
 * The artifacts that refer to a manifest (OCI distribution 1.1, "Listing Referrers"), by the tag schema where
 * a registry lacks the API.
 * @throws RegistryError
 */
export async function listReferrers(
  client: RepositoryClient,
  digest: Digest,
  signal: AbortSignal,
): Promise<readonly ReferrerJson[]> {
  const found: ReferrerJson[] = [];
  let next: URL | undefined = client.url({ kind: 'referrers', digest });
  while (next !== undefined) {
    const response: HttpResponse = await read(client, next, [200, 404], signal);
    if (response.status === 404) {
      drain(response);
      return await referrersByTag(client, digest, signal);
    }
    const { manifests } = parse(client, referrersSchema, await body(client, response));
    found.push(...(manifests ?? []));
    next = nextPage(client, response, next);
  }
  return found;
}

async function referrersByTag(
  client: RepositoryClient,
  digest: Digest,
  signal: AbortSignal,
): Promise<readonly ReferrerJson[]> {
  try {
    const { manifest, bytes } = await getManifest(client, { tag: referrersTag(digest) }, { signal });
    if (manifest.kind !== 'index') return [];
    return parse(client, referrersSchema, Buffer.from(bytes)).manifests ?? [];
  } catch (error) {
    if (error instanceof RegistryError && error.reason === 'NotFound') return [];
    throw error;
  }
}

async function read(
  client: RepositoryClient,
  url: URL,
  accept: readonly number[],
  signal: AbortSignal,
): Promise<HttpResponse> {
  return await client.send({ method: 'GET', url, actions: ['pull'], accept, signal });
}

async function body(client: RepositoryClient, response: HttpResponse): Promise<Buffer> {
  return await readBody(response.body, MAX_MANIFEST_BYTES, () => nonsense(client));
}

function parse<T extends z.ZodType>(client: RepositoryClient, schema: T, bytes: Buffer): z.infer<T> {
  try {
    return schema.parse(JSON.parse(bytes.toString('utf8')));
  } catch {
    throw nonsense(client);
  }
}

/** By the Link header (RFC 8288). Undefined for a page at another origin, or for the same page again. */
function nextPage(client: RepositoryClient, response: HttpResponse, current: URL): URL | undefined {
  const target = linkToNext(response.header('link') ?? '');
  if (target === undefined || !URL.canParse(target, current.href)) return undefined;
  const url = new URL(target, current);
  return url.origin === client.origin && url.href !== current.href ? url : undefined;
}

/** The target of the link with the relation `next` (RFC 8288 section 3); its parameters hold no comma here. */
export function linkToNext(header: string): string | undefined {
  for (const link of header.split(',')) {
    const [, target, parameters = ''] = /^\s*<([^<>]+)>\s*;(.*)$/s.exec(link) ?? [];
    if (/\brel="?next"?/i.test(parameters)) return target;
  }
  return undefined;
}

function nonsense(client: RepositoryClient): RegistryError {
  return new RegistryError(`${client.origin} answered with something that is not a list`, {
    reason: 'UpstreamError',
  });
}
