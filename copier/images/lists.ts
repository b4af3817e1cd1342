/** What a repository lists, its tags and what refers to a manifest: upstream's own list, or what the cache has while upstream is away. */
import type { ServerResponse } from 'node:http';
import { RegistryError } from '../../registry/core/errors.ts';
import type { Digest } from '../../registry/core/digest.ts';
import { OCI_INDEX } from '../../registry/core/media-types.ts';
import type { ReferrerJson } from '../../registry/client/listing.ts';
import type { Logger } from '../../platform/log.ts';
import type { PullTarget } from './manifests.ts';
import type { UpstreamRepository } from '../upstream/upstream-repository.ts';
import { UpstreamFailure } from '../upstream/upstream-failure.ts';

export interface ListsOptions {
  readonly store: {
    tags(repository: string, signal: AbortSignal): Promise<readonly string[]>;
    referrers(repository: string, digest: Digest, signal: AbortSignal): Promise<readonly ReferrerJson[]>;
  };
  readonly upstream: (target: PullTarget, signal: AbortSignal) => Promise<UpstreamRepository>;
  readonly log: Logger;
}

/** Tags of ours that anchor digests. */
const ANCHOR = /^larder-sha(256|512)-/;

export class Lists {
  readonly #options: ListsOptions;

  constructor(options: ListsOptions) {
    this.#options = options;
  }

  /** @throws RegistryError with upstream's meaning when the cache has none either */
  async tags(target: PullTarget, signal: AbortSignal): Promise<readonly string[]> {
    const { store } = this.#options;
    return this.#list(
      target,
      signal,
      (upstream) => upstream.tags(signal),
      async () => (await store.tags(target.repository, signal)).filter((tag) => !ANCHOR.test(tag)),
    );
  }

  /** @throws RegistryError with upstream's meaning when the cache has none either */
  async referrers(target: PullTarget, digest: Digest, signal: AbortSignal): Promise<readonly ReferrerJson[]> {
    const { store } = this.#options;
    return this.#list(
      target,
      signal,
      (upstream) => upstream.referrers(digest, signal),
      () => store.referrers(target.repository, digest, signal),
    );
  }

  async #list<T>(
    target: PullTarget,
    signal: AbortSignal,
    ask: (upstream: UpstreamRepository) => Promise<readonly T[]>,
    remember: () => Promise<readonly T[]>,
  ): Promise<readonly T[]> {
    try {
      return await ask(await this.#options.upstream(target, signal));
    } catch (error) {
      if (!(error instanceof UpstreamFailure)) throw error;
      const cached = await remember().catch(() => []);
      if (cached.length === 0) throw error;
      const { repository } = target;
      this.#options.log.warn('upstream gives no list', { repository, error: error.message });
      return cached;
    }
  }
}

/**
 * A page of tags (OCI distribution 1.1, "Listing Tags"), with the link to the next.
 * @param name as the client knows the repository
 * @throws RegistryError for an `n` that is no number
 */
export function sendTags(
  response: ServerResponse,
  name: string,
  tags: readonly string[],
  query: URLSearchParams,
): void {
  const asked = query.get('n');
  if (asked !== null && !/^[0-9]{1,9}$/.test(asked))
    throw new RegistryError('n is a number of tags', { reason: 'Invalid', code: 'UNSUPPORTED' });
  const last = query.get('last') ?? '';
  const left = tags.toSorted(compare).filter((tag) => compare(tag, last) > 0);
  const page = asked === null ? left : left.slice(0, Number(asked));
  const end = page.at(-1);
  if (asked !== null && end !== undefined && page.length < left.length) {
    const next = new URLSearchParams({ n: asked, last: end });
    response.setHeader('link', `</v2/${name}/tags/list?${next.toString()}>; rel="next"`);
  }
  sendJson(response, 'application/json', { name, tags: page });
}

/** An image index of what refers to a manifest (OCI distribution 1.1, "Listing Referrers"). */
export function sendReferrers(
  response: ServerResponse,
  referrers: readonly ReferrerJson[],
  query: URLSearchParams,
): void {
  const wanted = query.get('artifactType');
  const manifests = referrers.filter(({ artifactType }) => wanted === null || artifactType === wanted);
  if (wanted !== null) response.setHeader('oci-filters-applied', 'artifactType');
  sendJson(response, OCI_INDEX, { schemaVersion: 2, mediaType: OCI_INDEX, manifests });
}

function sendJson(response: ServerResponse, type: string, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(200, { 'content-type': type, 'content-length': Buffer.byteLength(text) });
  response.end(response.req.method === 'HEAD' ? undefined : text);
}

/** As registries sort: by bytes, not by anybody's language. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
