/** Copies a whole image between repositories: blobs, then manifests children first, then the tag. */
import type { Digest } from '../core/digest.ts';
import type { ManifestReference } from '../core/distribution-path.ts';
import { type Descriptor, platformOfConfig } from '../core/manifest.ts';
import { isImageConfigMediaType } from '../core/media-types.ts';
import { formatPlatform, type Platform } from '../core/platform.ts';
import type { Selection } from '../core/select.ts';
import { headBlob, readBlob } from '../client/blobs.ts';
import { putManifest } from '../client/manifests.ts';
import type { RepositoryClient } from '../client/repository-client.ts';
import { forEachLimited } from './limit.ts';
import { type CopyPlan, planCopy, type PlannedManifest, type ReadManifest } from './plan.ts';
import { type CopyProgress, ProgressMeter } from './progress.ts';
import { isIncomplete, putOrResend } from './put-manifest.ts';

export interface TransferOptions {
  /** Told of bytes as they come. */
  readonly report: (bytes: number) => void;
  /** The destination has lost the blob again: it needs the bytes, a link to what it has would not do. */
  readonly resend: boolean;
  readonly signal: AbortSignal;
}

/** Brings a blob into the destination; it is there when this resolves. @throws RegistryError */
export type TransferBlob = (blob: Descriptor, options: TransferOptions) => Promise<void>;

export interface CopyOptions {
  /** Reads manifests of the source. */
  readonly readManifest: ReadManifest;
  /** The image in the source. */
  readonly reference: ManifestReference;
  readonly destination: RepositoryClient;
  /** Given in the destination once all else is there; without it the image is known by its digest. */
  readonly tag?: string;
  readonly transferBlob: TransferBlob;
  readonly selection: Selection;
  /** Blobs at a time. Default 4. */
  readonly concurrency?: number;
  /** Called often: for every chunk. */
  readonly onProgress?: (progress: CopyProgress) => void;
  readonly signal: AbortSignal;
}

export interface CopiedImage {
  /** Of the manifest or index that the reference names. */
  readonly digest: Digest;
  /** Bytes of the blobs and manifests that the destination now holds for it. */
  readonly sizeBytes: number;
  readonly platforms: readonly Platform[];
  /** Its manifests in the destination, the root last. */
  readonly manifests: readonly Digest[];
}

const DEFAULT_CONCURRENCY = 4;
const MAX_CONFIG_BYTES = 8 * 1024 * 1024;

/**
 * Blobs that the destination has are not sent. An index is stored verbatim, even when some of its platforms
 * are left out; a destination that refuses that gets all platforms.
 * @throws RegistryError; nothing is tagged then
 */
export async function copyImage(options: CopyOptions): Promise<CopiedImage> {
  const { readManifest, reference, selection, signal } = options;
  const plan = await planCopy(readManifest, reference, selection, signal);
  if (await carryOut(plan, options)) return await describe(plan, options);
  // By digest, since the tag may have moved meanwhile.
  const everything = { platforms: [], attestations: true };
  const whole = await planCopy(readManifest, { digest: plan.root.digest }, everything, signal);
  await carryOut(whole, options);
  return await describe(whole, options);
}

/** @returns false when the destination refuses an index because some of its children are left out */
async function carryOut(plan: CopyPlan, options: CopyOptions): Promise<boolean> {
  const meter = new ProgressMeter(plan.blobs, options.onProgress ?? (() => undefined));
  await sendBlobs(plan.blobs, meter, options, { resend: false });
  for (const manifest of plan.manifests) {
    const { tag } = options;
    const isTagged = manifest === plan.root && tag !== undefined;
    const reference = isTagged ? { tag } : { digest: manifest.digest };
    try {
      await sendManifest(manifest, reference, meter, options);
    } catch (error) {
      if (manifest.sparse && isIncomplete(error)) return false;
      throw error;
    }
  }
  return true;
}

async function sendBlobs(
  blobs: readonly Descriptor[],
  meter: ProgressMeter,
  options: CopyOptions,
  { resend }: { readonly resend: boolean },
): Promise<void> {
  const { destination, transferBlob, concurrency = DEFAULT_CONCURRENCY } = options;
  await forEachLimited(blobs, concurrency, options.signal, async (blob, signal) => {
    const report = meter.begin(blob);
    const isThere = !resend && (await headBlob(destination, blob.digest, signal)) !== undefined;
    if (!isThere) await transferBlob(blob, { report, resend, signal });
    meter.finish(blob);
  });
}

async function sendManifest(
  manifest: PlannedManifest,
  reference: ManifestReference,
  meter: ProgressMeter,
  options: CopyOptions,
): Promise<void> {
  const { blobs } = manifest;
  await putOrResend(
    () => putManifest(options.destination, reference, manifest, options.signal),
    blobs.length === 0 ? undefined : () => sendBlobs(blobs, meter, options, { resend: true }),
  );
}

async function describe(plan: CopyPlan, options: CopyOptions): Promise<CopiedImage> {
  const platforms = plan.platforms.length > 0 ? plan.platforms : await platformsOfConfigs(plan, options);
  const manifests = plan.manifests.map(({ digest }) => digest);
  return { digest: plan.root.digest, sizeBytes: plan.sizeBytes, platforms, manifests };
}

/** An image without an index states its platform in its config, which the destination holds by now. */
async function platformsOfConfigs(plan: CopyPlan, { destination, signal }: CopyOptions): Promise<Platform[]> {
  const found = new Map<string, Platform>();
  for (const { manifest } of plan.manifests) {
    if (manifest.kind !== 'image' || !isImageConfigMediaType(manifest.config.mediaType)) continue;
    if (manifest.config.size > MAX_CONFIG_BYTES) continue;
    const platform = platformOfConfig(await readBlob(destination, manifest.config, signal));
    if (platform !== undefined) found.set(formatPlatform(platform), platform);
  }
  return [...found.values()];
}
