/** The controller's orders: copy an image into the store, check it upstream, verify it in the store, delete it there. */
import type {
  CheckAnswerJson,
  CheckOrder,
  CopyEventJson,
  CopyOrder,
  DeleteOrder,
  VerifyAnswerJson,
  VerifyOrder,
} from '../../api/copier-api.ts';
import { encodeCachedName, storeTag, type CachedName } from '../../registry/core/cached-name.ts';
import type { Digest } from '../../registry/core/digest.ts';
import type { ManifestReference } from '../../registry/core/distribution-path.ts';
import { RegistryError, toRegistryError } from '../../registry/core/errors.ts';
import { formatPlatform } from '../../registry/core/platform.ts';
import type { Reference } from '../../registry/core/reference.ts';
import { copyImage, type CopyOptions } from '../../registry/copy/copy-image.ts';
import { copyReferrers, type CopyReferrersOptions } from '../../registry/copy/copy-referrers.ts';
import type { CopyProgress } from '../../registry/copy/progress.ts';
import { verifyImage } from '../../registry/copy/verify-image.ts';
import type { Blobs } from './blobs.ts';
import { SpoolFull } from '../download/spool.ts';
import type { Keyring } from '../upstream/keyring.ts';
import type { Manifests, PullTarget } from './manifests.ts';
import type { UpstreamRepository } from '../upstream/upstream-repository.ts';
import { toStoreFailure, type Store } from '../store/store.ts';
import { followFlight } from './transfer.ts';

export interface OrdersOptions {
  readonly store: Store;
  readonly blobs: Blobs;
  readonly manifests: Manifests;
  readonly keyring: Keyring;
  readonly upstream: (
    target: PullTarget,
    reference: string | undefined,
    signal: AbortSignal,
  ) => Promise<UpstreamRepository>;
  /** Blobs of one image that are fetched side by side. */
  readonly parallelBlobs: number;
}

interface OrderedImage {
  readonly image: Reference;
  readonly tenant?: string | undefined;
}

interface Ordered {
  readonly target: PullTarget;
  /** What upstream is asked for. */
  readonly reference: ManifestReference;
  /** Under which the store has it. */
  readonly tag: string;
}

/** Registries that do not tell strangers what they have say that there is nothing. */
const REFUSALS: readonly string[] = [
  'Unauthorized',
  'Forbidden',
  'NotFound',
] satisfies RegistryError['reason'][];

export class Orders {
  readonly #options: OrdersOptions;

  constructor(options: OrdersOptions) {
    this.#options = options;
  }

  /** Copies an image. Never throws: the last event says how it ended. */
  async copy(
    order: CopyOrder,
    onProgress: (progress: CopyProgress) => void,
    signal: AbortSignal,
  ): Promise<CopyEventJson> {
    try {
      const { target, reference, tag } = this.#understand(order);
      const upstream = await this.#upstream(target, reference, signal);
      const way = this.#way(target, upstream, signal);
      const { referrers = false } = order;
      const selection = { platforms: order.platforms, attestations: referrers };
      const copied = await copyImage({ ...way, reference, tag, selection, onProgress });
      const { digest, sizeBytes, platforms } = copied;
      const attached = referrers ? await copyAttached(copied.manifests, upstream, way) : {};
      return { type: 'done', digest, sizeBytes, platforms: platforms.map(formatPlatform), ...attached };
    } catch (error) {
      return { type: 'failed', ...this.#failure(order, error) };
    }
  }

  /** Asks upstream for the digest that the image has now, and brings what has been attached to it since it was copied. Never throws. */
  async check(order: CheckOrder, signal: AbortSignal): Promise<CheckAnswerJson> {
    try {
      const { target, reference, tag } = this.#understand(order);
      const upstream = await this.#upstream(target, reference, signal);
      const head = await upstream.headManifest(reference, signal);
      const digest = head ?? (await upstream.getManifest(reference, signal)).digest;
      const subjects = order.referrers === true ? await this.#stored(target, tag, signal) : [];
      const isCurrent = subjects.includes(digest);
      const way = this.#way(target, upstream, signal);
      const attached = isCurrent ? await copyAttached(subjects, upstream, way) : {};
      return { upstream: 'Available', digest, ...attached };
    } catch (error) {
      return { upstream: 'Unavailable', ...this.#failure(order, error) };
    }
  }

  /** Who is refused learns what is wrong with the secrets that should have opened. */
  #failure(order: OrderedImage, thrown: unknown): FailureJson {
    const failure = describe(thrown);
    const troubles = REFUSALS.includes(failure.reason)
      ? this.#options.keyring.troubles(cachedName(order))
      : [];
    return troubles.length === 0
      ? failure
      : { ...failure, message: `${failure.message} (${troubles.join('; ')})` };
  }

  /** Of what the store has under a tag: the manifest and, of an index, those of its children that are there. */
  async #stored(target: PullTarget, tag: string, signal: AbortSignal): Promise<Digest[]> {
    const { store } = this.#options;
    const root = await store.getManifest(target.repository, { tag }, signal);
    if (root === undefined) return [];
    const children = root.manifest.kind === 'index' ? root.manifest.manifests : [];
    const found: Digest[] = [];
    for (const { digest } of children) {
      if ((await store.getManifest(target.repository, { digest }, signal)) !== undefined) found.push(digest);
    }
    return [...found, root.digest];
  }

  /** How content comes from upstream into the target's repository. */
  #way(target: PullTarget, upstream: UpstreamRepository, signal: AbortSignal): CopyWay {
    const { store, blobs, manifests, parallelBlobs } = this.#options;
    return {
      destination: store.writer(target.repository),
      readManifest: (named, readSignal) =>
        'digest' in named ? manifests.fetch(target, named.digest) : upstream.getManifest(named, readSignal),
      transferBlob: async ({ digest }, { report, resend, signal: blobSignal }) => {
        if (!resend && (await blobs.adopt(target, digest, blobSignal))) return;
        await followFlight(blobs.transfer(target, digest), report, blobSignal);
      },
      concurrency: parallelBlobs,
      signal,
    };
  }

  /** Asks the store only. @throws RegistryError when it cannot be asked */
  async verify(order: VerifyOrder, signal: AbortSignal): Promise<VerifyAnswerJson> {
    const { target, tag } = this.#understand({ ...order, pullSecrets: [] });
    const { store } = this.#options;
    const verification = await verifyImage(
      store.reader(target.repository),
      { tag },
      { platforms: order.platforms },
      signal,
    );
    return verification.complete
      ? { ...verification, platforms: verification.platforms.map(formatPlatform) }
      : { complete: false, missing: [...verification.missing] };
  }

  /** Deletes our tag or anchor, and the manifests that only it led to. @throws RegistryError */
  async delete(order: DeleteOrder, signal: AbortSignal): Promise<void> {
    const { target, tag } = this.#understand({ ...order, pullSecrets: [] });
    await this.#options.store.remove(target.repository, { tag, digest: order.image.digest }, signal);
  }

  #understand(order: OrderedImage & { readonly pullSecrets: readonly string[] }): Ordered {
    const { image, pullSecrets } = order;
    const { digest, tag } = image;
    const cached = cachedName(order);
    this.#options.keyring.learn(cached, pullSecrets);
    return {
      target: { repository: encodeCachedName(cached), cached },
      reference: digest === undefined ? { tag: tag ?? 'latest' } : { digest },
      tag: storeTag(image),
    };
  }

  async #upstream(
    target: PullTarget,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<UpstreamRepository> {
    return this.#options.upstream(target, 'tag' in reference ? reference.tag : reference.digest, signal);
  }
}

type CopyWay = Pick<CopyOptions, 'destination' | 'readManifest' | 'transferBlob' | 'concurrency' | 'signal'>;

/** An image that cannot be shown to be signed is still one that pods need. */
async function copyAttached(
  subjects: readonly Digest[],
  upstream: UpstreamRepository,
  way: CopyWay,
): Promise<{ referrers: number } | { referrersFailure: string }> {
  const listSource: CopyReferrersOptions['listSource'] = (subject, signal) =>
    upstream.referrers(subject, signal);
  try {
    return { referrers: await copyReferrers({ ...way, subjects, listSource }) };
  } catch (error) {
    way.signal.throwIfAborted();
    return { referrersFailure: describe(error).message };
  }
}

/** The repository of the store that an order is about. */
export function repositoryOf(order: OrderedImage): string {
  return encodeCachedName(cachedName(order));
}

function cachedName({ image: { host, repository }, tenant }: OrderedImage): CachedName {
  return { host, repository, ...(tenant === undefined ? {} : { tenant }) };
}

interface FailureJson {
  reason: RegistryError['reason'];
  message: string;
  retryAfterSeconds?: number;
}

function describe(thrown: unknown): FailureJson {
  const error = thrown instanceof SpoolFull ? spoolFull(thrown) : ofImageOrStore(toRegistryError(thrown));
  const { reason, message, retryAfterSeconds } = error;
  return { reason, message, ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) };
}

/** Upstream's failures are marked as such; what remains is wrong with the image itself, or is the store's. */
function ofImageOrStore(error: RegistryError): RegistryError {
  const ofImage =
    error.reason === 'NotFound' || (error.reason === 'Invalid' && error.code !== 'MANIFEST_BLOB_UNKNOWN');
  return ofImage ? error : toStoreFailure(error);
}

function spoolFull(cause: SpoolFull): RegistryError {
  return new RegistryError("the copier's own disk space is used up", { reason: 'StoreFull', cause });
}
