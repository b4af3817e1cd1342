/**
 * Remembers the Authorization headers that registries accepted, while they are valid, for all clients of a
 * process.
 */
import { LRUCache } from 'lru-cache';

interface Entry {
  readonly header: string;
  readonly expires: number;
}

const MAX_ENTRIES = 2000;

export class AuthorizationCache {
  readonly #entries = new LRUCache<string, Entry>({ max: MAX_ENTRIES });
  readonly #now: () => number;

  /** @param now milliseconds of a clock that never jumps */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  get(key: string): string | undefined {
    const entry = this.#entries.get(key);
    return entry !== undefined && entry.expires > this.#now() ? entry.header : undefined;
  }

  set(key: string, header: string, lifetimeMs: number): void {
    this.#entries.set(key, { header, expires: this.#now() + lifetimeMs });
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }
}
