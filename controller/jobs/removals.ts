/**
 * Removes images from the store: only those that nobody uses, and only while nothing is copied into their
 * repository.
 */
import { cachedImageName } from '../../api/names.ts';
import { repositoryOf, type StoredImage } from '../../api/stored-image.ts';
import type { UsageIndex } from '../cluster/usage.ts';
import type { ImageToRemove, RemoveRequest, RemoveResult } from './orders.ts';
import type { RepositoryLocks } from './repository-locks.ts';

export interface RemovalsOptions {
  /** Reads from the API server which images pods use now. */
  readonly readUsage: () => Promise<UsageIndex>;
  readonly remove: (image: StoredImage, signal: AbortSignal) => Promise<void>;
  readonly repositories: RepositoryLocks;
  /** Called with the number of bytes that the next collection may free. */
  readonly onRemoved?: (bytes: number) => void;
}

export class Removals {
  readonly #options: RemovalsOptions;

  constructor(options: RemovalsOptions) {
    this.#options = options;
  }

  /**
   * A busy repository is an error and not waited for: the decision to remove may no longer hold once the
   * repository is free, so it must be made again.
   * @throws Error when the repository is busy; KubeError when the usage cannot be read; OrderFailed
   */
  readonly perform = async (
    { targets, previous, sizeBytes }: RemoveRequest,
    signal: AbortSignal,
  ): Promise<RemoveResult> => {
    const { readUsage, remove, repositories, onRemoved } = this.#options;
    const result = (inUse: boolean): RemoveResult =>
      previous === undefined ? { inUse } : { inUse, previous };
    const release = repositories.takeForRemoval(targets.map(repositoryOf));
    if (release === undefined) throw new Error('the repository is busy');
    try {
      const usageNow = await readUsage();
      if (targets.some((target) => isUsed(target, usageNow))) return result(true);
      for (const target of targets) await remove(target, signal);
      onRemoved?.(sizeBytes);
      return result(false);
    } finally {
      release();
    }
  };
}

function isUsed({ reference, tenant, ranBy }: ImageToRemove, usageNow: UsageIndex): boolean {
  if (usageNow.of(cachedImageName(reference, tenant)) !== undefined) return true;
  const { digest } = reference;
  return ranBy !== undefined && digest !== undefined && usageNow.of(ranBy)?.digests.includes(digest) === true;
}
