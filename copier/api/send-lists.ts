/** Sends lists to a client: the tags of a repository, the referrers of a manifest. */
import type { ServerResponse } from 'node:http';
import { RegistryError } from '../../registry/core/errors.ts';
import { OCI_INDEX } from '../../registry/core/media-types.ts';
import type { ReferrerJson } from '../../registry/client/listing.ts';

/**
 * One page of tags, with a link to the next (OCI distribution 1.1, "Listing Tags").
 * @param name of the repository, as the client knows it
 * @throws RegistryError when `n` is not a number
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

/** An image index of a manifest's referrers (OCI distribution 1.1, "Listing Referrers"). */
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

/** By bytes, as registries sort, not by the rules of a language. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
