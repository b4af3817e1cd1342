/** Checks the capabilities of names, and remembers which were valid until the keys change. */
import { LRUCache } from 'lru-cache';
import type { TenantName } from '../registry/core/cached-name.ts';
import { type CapabilityKey, isCapabilityFor } from '../registry/core/capability.ts';
import type { PullPath } from '../registry/core/pull-path.ts';

/** More than the private images of a node; a name has at most 255 characters. */
const REMEMBERED = 1_000;

export type TenantPath = PullPath & { readonly cached: TenantName };

export class CapabilityCheck {
  readonly #keys: { get(): readonly CapabilityKey[] };
  /** Only names that were valid, so that guesses push none of them out. */
  readonly #valid = new LRUCache<string, true>({ max: REMEMBERED });
  #checkedWith: readonly CapabilityKey[] = [];

  /** @param keys gives the very same array as long as the keys are the same */
  constructor(keys: { get(): readonly CapabilityKey[] }) {
    this.#keys = keys;
  }

  /** Whether there is any key to check with. */
  get hasKeys(): boolean {
    return this.#keys.get().length > 0;
  }

  isValid({ cached, name, capability }: TenantPath): boolean {
    const keys = this.#keys.get();
    if (keys !== this.#checkedWith) {
      this.#valid.clear();
      this.#checkedWith = keys;
    }
    const question = `${capability ?? ''} ${name}`;
    if (this.#valid.has(question)) return true;
    if (!isCapabilityFor(cached, capability, keys)) return false;
    this.#valid.set(question, true);
    return true;
  }
}
