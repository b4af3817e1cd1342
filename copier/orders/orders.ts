/** The controller's orders: copy an image, check it upstream, verify it in the store, delete it. */
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
import type { Reason } from '../../registry/core/errors.ts';
import { formatPlatform } from '../../registry/core/platform.ts';
import type { Reference } from '../../registry/core/reference.ts';
import { copyImage } from '../../registry/copy/copy-image.ts';
import type { CopyProgress } from '../../registry/copy/progress.ts';
import { verifyImage } from '../../registry/copy/verify-image.ts';
import type { Keyring } from '../upstream/keyring.ts';
import type { UpstreamRepository } from '../upstream/upstream-repository.ts';
import type { Upstreams } from '../upstream/upstreams.ts';
import { copyAttached, imageTransfer, type TransferParts } from './image-transfer.ts';
import { describeFailure, type FailureJson } from './order-failure.ts';
import type { PullTarget } from '../images/pull-target.ts';

export interface OrdersOptions extends TransferParts {
  readonly keyring: Keyring;
  readonly upstreams: Upstreams;
}

interface OrderedImage {
  readonly image: Reference;
  readonly tenant?: string | undefined;
}

interface OrderTarget extends PullTarget {
  /** What upstream is asked for. */
  readonly reference: ManifestReference;
  /** The tag that the store has it under. */
  readonly tag: string;
}

/** What registries answer to callers without the right credentials; some say that there is nothing. */
const REFUSALS: readonly Reason[] = ['Unauthorized', 'Forbidden', 'NotFound'];

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
      const { reference, tag, ...target } = targetOf(order);
      this.#options.keyring.learn(target.cached, order.pullSecrets);
      const upstream = await this.#upstream(target, reference, signal);
      const transfer = imageTransfer(this.#options, target, upstream, signal);
      const { referrers = false } = order;
      const selection = { platforms: order.platforms, attestations: referrers };
      const copied = await copyImage({ ...transfer, reference, tag, selection, onProgress });
      const { digest, sizeBytes, platforms } = copied;
      const attached = referrers ? await copyAttached(copied.manifests, upstream, transfer) : {};
      return { type: 'done', digest, sizeBytes, platforms: platforms.map(formatPlatform), ...attached };
    } catch (error) {
      return { type: 'failed', ...this.#failure(order, error) };
    }
  }

  /**
   * Asks upstream for the image's digest, and copies what was attached to the image since it was copied.
   * Never throws.
   */
  async check(order: CheckOrder, signal: AbortSignal): Promise<CheckAnswerJson> {
    try {
      const { reference, tag, ...target } = targetOf(order);
      this.#options.keyring.learn(target.cached, order.pullSecrets);
      const upstream = await this.#upstream(target, reference, signal);
      const head = await upstream.headManifest(reference, signal);
      const digest = head ?? (await upstream.getManifest(reference, signal)).digest;
      const subjects = order.referrers === true ? await this.#manifestsInStore(target, tag, signal) : [];
      const isCurrent = subjects.includes(digest);
      const transfer = imageTransfer(this.#options, target, upstream, signal);
      const attached = isCurrent ? await copyAttached(subjects, upstream, transfer) : {};
      return { upstream: 'Available', digest, ...attached };
    } catch (error) {
      return { upstream: 'Unavailable', ...this.#failure(order, error) };
    }
  }

  /** Asks the store only. @throws RegistryError when it cannot be asked */
  async verify(order: VerifyOrder, signal: AbortSignal): Promise<VerifyAnswerJson> {
    const { storeRepository, tag } = targetOf(order);
    const reader = this.#options.store.reader(storeRepository);
    const verification = await verifyImage(reader, { tag }, { platforms: order.platforms }, signal);
    return verification.complete
      ? { ...verification, platforms: verification.platforms.map(formatPlatform) }
      : { complete: false, missing: [...verification.missing] };
  }

  /** Deletes the image's tag, and the manifests that no other tag leads to. @throws RegistryError */
  async delete(order: DeleteOrder, signal: AbortSignal): Promise<void> {
    const { storeRepository, tag } = targetOf(order);
    await this.#options.store.remove(storeRepository, { tag, digest: order.image.digest }, signal);
  }

  /** After a refusal it also says what is wrong with the pull secrets. */
  #failure(order: OrderedImage, thrown: unknown): FailureJson {
    const failure = describeFailure(thrown);
    if (!REFUSALS.includes(failure.reason)) return failure;
    const troubles = this.#options.keyring.troubles(cachedNameOf(order));
    return troubles.length === 0
      ? failure
      : { ...failure, message: `${failure.message} (${troubles.join('; ')})` };
  }

  /** The manifests in the store under a tag: the one it names and, of an index, the children there. */
  async #manifestsInStore(target: PullTarget, tag: string, signal: AbortSignal): Promise<Digest[]> {
    const { store } = this.#options;
    const root = await store.getManifest(target.storeRepository, { tag }, signal);
    if (root === undefined) return [];
    const children = root.manifest.kind === 'index' ? root.manifest.manifests : [];
    const found: Digest[] = [];
    for (const { digest } of children) {
      if ((await store.getManifest(target.storeRepository, { digest }, signal)) !== undefined)
        found.push(digest);
    }
    return [...found, root.digest];
  }

  async #upstream(
    { cached }: PullTarget,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<UpstreamRepository> {
    const tagOrDigest = 'tag' in reference ? reference.tag : reference.digest;
    return this.#options.upstreams.open(cached, tagOrDigest, signal);
  }
}

function targetOf(order: OrderedImage): OrderTarget {
  const { image } = order;
  const { digest, tag } = image;
  const cached = cachedNameOf(order);
  return {
    storeRepository: encodeCachedName(cached),
    cached,
    reference: digest === undefined ? { tag: tag ?? 'latest' } : { digest },
    tag: storeTag(image),
  };
}

function cachedNameOf({ image: { host, repository }, tenant }: OrderedImage): CachedName {
  return { host, repository, ...(tenant === undefined ? {} : { tenant }) };
}
