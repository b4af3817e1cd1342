/**
 * Copies the signatures, attestations and SBOMs of an image: what the referrers API, its tag schema or
 * cosign's tags list.
 */
import { COSIGN_SUFFIXES, referrersTag } from '../core/attached-tag.ts';
import { type Digest, digestOf } from '../core/digest.ts';
import { RegistryError } from '../core/errors.ts';
import { parseManifest } from '../core/manifest.ts';
import { isManifestMediaType, OCI_INDEX } from '../core/media-types.ts';
import { listReferrers, type ReferrerJson } from '../client/listing.ts';
import { putManifest } from '../client/manifests.ts';
import { copyImage, type CopyOptions } from './copy-image.ts';

export interface CopyReferrersOptions extends Pick<
  CopyOptions,
  'destination' | 'readManifest' | 'transferBlob' | 'signal'
> {
  /** Manifests of the image, which the destination has already. */
  readonly subjects: readonly Digest[];
  /** The referrers of a manifest, as the source lists them. @throws RegistryError */
  readonly listSource: (subject: Digest, signal: AbortSignal) => Promise<readonly ReferrerJson[]>;
}

/** A signature may be signed in turn. */
const MAX_DEPTH = 3;
const MAX_ARTIFACTS = 256;

/**
 * Artifacts that the destination has are asked for, but not sent again.
 * @returns how many artifacts refer to the image
 * @throws RegistryError; what was copied before it stays
 */
export async function copyReferrers(options: CopyReferrersOptions): Promise<number> {
  const artifacts = new Set<Digest>();
  let subjects = [...new Set(options.subjects)];
  for (let depth = 0; depth < MAX_DEPTH && subjects.length > 0; depth++) {
    const found: Digest[] = [];
    for (const subject of subjects) {
      const listed = await copyListed(subject, options);
      const tagged = await copyTagged(subject, options);
      found.push(...[...listed, ...tagged].filter((digest) => !artifacts.has(digest)));
      for (const digest of found) artifacts.add(digest);
      if (artifacts.size > MAX_ARTIFACTS) throw tooMany();
    }
    subjects = [...new Set(found)];
  }
  return artifacts.size;
}

async function copyListed(subject: Digest, options: CopyReferrersOptions): Promise<Digest[]> {
  const { listSource, readManifest, signal } = options;
  const copied: ReferrerJson[] = [];
  const listed = await listSource(subject, signal);
  if (listed.length > MAX_ARTIFACTS) throw tooMany();
  for (const referrer of listed) {
    if (!isManifestMediaType(referrer.mediaType)) continue;
    const { manifest } = await readManifest({ digest: referrer.digest }, signal);
    // A registry may list what does not refer to the subject.
    if (manifest.subject?.digest !== subject) continue;
    await copyImage({ ...options, reference: { digest: referrer.digest }, selection: EVERYTHING });
    copied.push(referrer);
  }
  await makeListed(subject, copied, options);
  return copied.map(({ digest }) => digest);
}

/** A registry without the referrers API keeps no list of its own: there the client keeps it, under a tag. */
async function makeListed(
  subject: Digest,
  referrers: readonly ReferrerJson[],
  { destination, signal }: CopyReferrersOptions,
): Promise<void> {
  if (referrers.length === 0) return;
  const known = await listReferrers(destination, subject, signal);
  const missing = referrers.filter(({ digest }) => known.every((each) => each.digest !== digest));
  if (missing.length === 0) return;
  const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [...known, ...missing] };
  const bytes = Buffer.from(JSON.stringify(index));
  const list = { bytes, digest: digestOf(bytes), manifest: parseManifest(bytes, OCI_INDEX) };
  await putManifest(destination, { tag: referrersTag(subject) }, list, signal);
}

async function copyTagged(subject: Digest, options: CopyReferrersOptions): Promise<Digest[]> {
  const copied: Digest[] = [];
  for (const suffix of COSIGN_SUFFIXES) {
    const tag = referrersTag(subject) + suffix;
    try {
      const { digest } = await copyImage({ ...options, reference: { tag }, tag, selection: EVERYTHING });
      copied.push(digest);
    } catch (error) {
      if (!(error instanceof RegistryError) || error.reason !== 'NotFound') throw error;
    }
  }
  return copied;
}

const EVERYTHING = { platforms: [], attestations: true };

function tooMany(): RegistryError {
  return new RegistryError(`more than ${MAX_ARTIFACTS} artifacts refer to the image`, { reason: 'Invalid' });
}
