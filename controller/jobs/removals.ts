/** Removing images from the store, once nobody uses them and while nothing is copied into their repository. */
import { cachedImageName } from '../../api/names.ts';
import { repositoryOf, type StoredImage } from '../../api/stored-image.ts';
import type { RemovalAnswer } from './answers.ts';
import type { UsageIndex } from '../cluster/usage.ts';

export interface RemovalTarget extends StoredImage {
  /** For a digest that a tag named before: the CachedImage of the tag, whose pods may run it still. */
  readonly ranBy?: string;
}

export interface RemovalRequest {
  readonly targets: readonly RemovalTarget[];
  /** The digest, when it is not the whole image that goes. */
  readonly previous?: string;
  /** What the store is thought to win by it, in bytes. */
  readonly sizeBytes: number;
}

export interface RemovalsOptions {
  /** Who uses what, as the API server says now. */
  readonly readUsers: () => Promise<UsageIndex>;
  readonly remove: (image: StoredImage, signal: AbortSignal) => Promise<void>;
  /** Whether something is copied into the repository. */
  readonly isCopying: (repository: string) => boolean;
  /** Called with what the next collection may win, in bytes. */
  readonly onRemoved: (bytes: number) => void;
  /** Called when copies that were held back may begin. */
  readonly onReleased: () => void;
}

export class Removals {
  readonly #options: RemovalsOptions;
  readonly #repositories = new Set<string>();

  constructor(options: RemovalsOptions) {
    this.#options = options;
  }

  /** Nothing may be copied into such a repository meanwhile: what is tagged there might go with what is removed. */
  isRemoving(repository: string): boolean {
    return this.#repositories.has(repository);
  }

  /** @throws when it is not known who uses the image, something is copied into its repository, or the copier cannot do it */
  readonly perform = async (
    { targets, previous, sizeBytes }: RemovalRequest,
    signal: AbortSignal,
  ): Promise<RemovalAnswer> => {
    const answer = (inUse: boolean): RemovalAnswer =>
      previous === undefined ? { inUse } : { inUse, previous };
    const repositories = [...new Set(targets.map(repositoryOf))];
    if (repositories.some((repository) => this.#isBusy(repository)))
      throw new Error('the repository is busy');
    for (const repository of repositories) this.#repositories.add(repository);
    try {
      const users = await this.#options.readUsers();
      if (targets.some((target) => isUsed(target, users))) return answer(true);
      for (const target of targets) await this.#options.remove(target, signal);
      this.#options.onRemoved(sizeBytes);
      return answer(false);
    } finally {
      for (const repository of repositories) this.#repositories.delete(repository);
      this.#options.onReleased();
    }
  };

  #isBusy(repository: string): boolean {
    return this.isRemoving(repository) || this.#options.isCopying(repository);
  }
}

function isUsed({ reference, tenant, ranBy }: RemovalTarget, users: UsageIndex): boolean {
  if (users.of(cachedImageName(reference, tenant)) !== undefined) return true;
  const { digest } = reference;
  return ranBy !== undefined && digest !== undefined && users.of(ranBy)?.digests.includes(digest) === true;
}
