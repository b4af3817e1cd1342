/** The objects of one resource type, kept in memory by a watch, with handlers for every change. */
import { unlessAborted } from '../unless-aborted.ts';
import { type Component, loop } from '../run.ts';
import type { KubeClient } from './client.ts';
import { keyOf, type KubeObject, type Resource } from './resource.ts';
import { listAndWatch, type WatchEvent, type WatchOptions } from './watch.ts';

/**
 * Called with an object before and after a change: `before` is undefined for a new one, `after` for one that
 * is gone.
 */
export type ChangeHandler<T> = (change: {
  readonly before: T | undefined;
  readonly after: T | undefined;
}) => void;

/** The values by which an object can be found, e.g. the images of a Pod. */
export type IndexFunction<T> = (object: T) => Iterable<string>;

export class ObjectCache<T extends KubeObject> {
  readonly #objects = new Map<string, T>();
  readonly #handlers: ChangeHandler<T>[] = [];
  readonly #indexes = new Map<string, Index<T>>();
  readonly #synced = Promise.withResolvers<undefined>();
  #complete = false;

  /** Whether the first list has arrived; until then objects may be missing. */
  get isSynced(): boolean {
    return this.#complete;
  }

  get size(): number {
    return this.#objects.size;
  }

  /** Resolves once the first list has arrived. @throws the signal's reason when it is aborted before */
  async waitSynced(signal: AbortSignal): Promise<void> {
    await unlessAborted(this.#synced.promise, signal);
  }

  get(name: string, namespace?: string): T | undefined {
    return this.#objects.get(namespace === undefined ? name : `${namespace}/${name}`);
  }

  /** By `namespace/name`, or by the name of an object without namespace. */
  getByKey(key: string): T | undefined {
    return this.#objects.get(key);
  }

  values(): IterableIterator<T> {
    return this.#objects.values();
  }

  /** Adds an index. Call it before the watch starts. */
  addIndex(name: string, valuesOf: IndexFunction<T>): void {
    this.#indexes.set(name, new Index(valuesOf));
  }

  /**
   * The objects that an index has for a value.
   * @throws when there is no such index
   */
  byIndex(name: string, value: string): readonly T[] {
    const index = this.#indexes.get(name);
    if (!index) throw new Error(`there is no index ${name}`);
    return [...index.keys(value)]
      .map((key) => this.#objects.get(key))
      .filter((object) => object !== undefined);
  }

  /**
   * Handlers are called after the cache has changed, in the order of the changes. Add them before the watch
   * starts.
   */
  onChange(handler: ChangeHandler<T>): void {
    this.#handlers.push(handler);
  }

  apply(event: WatchEvent<T>): void {
    if (event.type === 'reset') this.#reset(event.objects);
    else this.#set(keyOf(event.object), event.type === 'upsert' ? event.object : undefined);
  }

  #reset(objects: readonly T[]): void {
    const present = new Map(objects.map((object) => [keyOf(object), object]));
    for (const key of [...this.#objects.keys()]) if (!present.has(key)) this.#set(key, undefined);
    for (const [key, object] of present) this.#set(key, object);
    this.#complete = true;
    this.#synced.resolve(undefined);
  }

  #set(key: string, after: T | undefined): void {
    const before = this.#objects.get(key);
    const version = after?.metadata?.resourceVersion;
    if (version !== undefined && before?.metadata?.resourceVersion === version) return;
    if (before === undefined && after === undefined) return;
    if (after === undefined) this.#objects.delete(key);
    else this.#objects.set(key, after);
    for (const index of this.#indexes.values()) index.change(key, before, after);
    for (const handler of this.#handlers) handler({ before, after });
  }
}

/** The component that keeps a cache up to date. */
export function cacheWatch<T extends KubeObject>(
  client: KubeClient,
  resource: Resource<T>,
  cache: ObjectCache<T>,
  options: Omit<WatchOptions, 'signal'>,
): Component {
  return loop(`watch ${resource.plural}`, async (signal) => {
    for await (const event of listAndWatch(client, resource, { ...options, signal })) cache.apply(event);
  });
}

class Index<T> {
  readonly #valuesOf: IndexFunction<T>;
  readonly #byValue = new Map<string, Set<string>>();

  constructor(valuesOf: IndexFunction<T>) {
    this.#valuesOf = valuesOf;
  }

  keys(value: string): Iterable<string> {
    return this.#byValue.get(value) ?? [];
  }

  change(key: string, before: T | undefined, after: T | undefined): void {
    if (before !== undefined) for (const value of this.#valuesOf(before)) this.#remove(value, key);
    if (after !== undefined) for (const value of this.#valuesOf(after)) this.#add(value, key);
  }

  #add(value: string, key: string): void {
    const keys = this.#byValue.get(value);
    if (keys) keys.add(key);
    else this.#byValue.set(value, new Set([key]));
  }

  #remove(value: string, key: string): void {
    const keys = this.#byValue.get(value);
    keys?.delete(key);
    if (keys?.size === 0) this.#byValue.delete(value);
  }
}
