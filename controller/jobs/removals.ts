/**
 * Removes images from the store: only those that nobody uses, and only while nothing is copied into their
 * repository.
 */
import { cachedImageName } from '../../api/names.ts';
import { repositoryOf, type StoredImage } from '../../api/stored-image.ts';
import type { UsageIndex } from '../cluster/usage.ts';
import type { ImageToRemove, RemovalRequest, RemovalResult } from './orders.ts';
import type { RepositoryLocks } from './repository-locks.ts';

export interface RemovalsOptions {
  /** Reads from the API server which images pods use now. */
  readonly readUsers: () => Promise<UsageIndex>;
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
   * @throws Error when the repository is busy; KubeError when the users cannot be read; OrderFailed
   */
  readonly perform = async (
    { targets, previous, sizeBytes }: RemovalRequest,
    signal: AbortSignal,
  ): Promise<RemovalResult> => {
    const { readUsers, remove, repositories, onRemoved } = this.#options;
    const result = (inUse: boolean): RemovalResult =>
      previous === undefined ? { inUse } : { inUse, previous };
    const release = repositories.takeForRemoval(targets.map(repositoryOf));
    if (release === undefined) throw new Error('the repository is busy');
    try {
      const users = await readUsers();
      if (targets.some((target) => isUsed(target, users))) return result(true);
      for (const target of targets) await remove(target, signal);
      onRemoved?.(sizeBytes);
      return result(false);
    } finally {
      release();
    }
  };
}

function isUsed({ reference, tenant, ranBy }: ImageToRemove, users: UsageIndex): boolean {
  if (users.of(cachedImageName(reference, tenant)) !== undefined) return true;
  const { digest } = reference;
  return ranBy !== undefined && digest !== undefined && users.of(ranBy)?.digests.includes(digest) === true;
}
