/**
 * Which repositories of the store are in use. Copies into a repository share it; a removal has it alone,
 * because a registry that deletes a manifest deletes all its tags with it, so a tag that is copied meanwhile
 * could vanish.
 */

/** Gives up what was taken; call it once. */
export type Release = () => void;

export class RepositoryLocks {
  readonly #copies = new Map<string, number>();
  readonly #removals = new Set<string>();
  readonly #listeners: (() => void)[] = [];

  /** Whether a copy into the repository is under way. */
  isCopying(repository: string): boolean {
    return this.#copies.has(repository);
  }

  /** Takes a repository for a copy; undefined while something is removed from it. */
  takeForCopy(repository: string): Release | undefined {
    if (this.#removals.has(repository)) return undefined;
    this.#copies.set(repository, (this.#copies.get(repository) ?? 0) + 1);
    return () => {
      const left = (this.#copies.get(repository) ?? 0) - 1;
      if (left > 0) this.#copies.set(repository, left);
      else this.#copies.delete(repository);
    };
  }

  /** Takes all the repositories for a removal, or none: undefined while one of them is in use. */
  takeForRemoval(repositories: Iterable<string>): Release | undefined {
    const taken = [...new Set(repositories)];
    if (taken.some((repository) => this.isCopying(repository) || this.#removals.has(repository)))
      return undefined;
    for (const repository of taken) this.#removals.add(repository);
    return () => {
      for (const repository of taken) this.#removals.delete(repository);
      for (const listener of this.#listeners) listener();
    };
  }

  /** Calls the listener whenever a removal has ended, so that copies that were held back may start. */
  readonly onRemovalEnd = (listener: () => void): void => {
    this.#listeners.push(listener);
  };
}
