/** Which cached images are in use, and by which pods; kept up to date pod by pod. */
import { cachedImageName } from '../../api/names.ts';
import type { Reference } from '../../registry/core/reference.ts';
import { type PodView, type WantedImage, wantedImages, type CacheScope } from './pod-view.ts';

/** How one image is used: by all unfinished pods that want it. */
export interface ImageUsage {
  readonly reference: Reference;
  readonly tenant?: string;
  readonly pods: number;
  /** How many of the pods have not started yet. */
  readonly waitingPods: number;
  /** Of all the pods, sorted. */
  readonly namespaces: readonly string[];
  /** The pods' pull secrets, sorted. */
  readonly pullSecrets: readonly string[];
  /** All digests that the pods run, sorted; including those of their other images. */
  readonly digests: readonly string[];
}

interface Use {
  readonly view: PodView;
  readonly wanted: WantedImage;
}

interface Entry {
  readonly wanted: WantedImage;
  readonly uses: Map<string, Use>;
}

/**
 * Keyed by the name that `cachedImageName` gives an image. Every change returns the names that it concerns.
 */
export class UsageIndex {
  #scope: CacheScope;
  readonly #pods = new Map<string, PodView>();
  readonly #podsOfNamespace = new Map<string, Set<string>>();
  readonly #wantedByPod = new Map<string, readonly string[]>();
  readonly #optedIn = new Set<string>();
  readonly #entries = new Map<string, Entry>();

  constructor(scope: CacheScope) {
    this.#scope = scope;
  }

  names(): IterableIterator<string> {
    return this.#entries.keys();
  }

  /** The pods that use an image, as `namespace/name`. */
  *podsUsing(name: string): Generator<readonly [string, PodView]> {
    for (const [key, { view }] of this.#entries.get(name)?.uses ?? []) yield [key, view];
  }

  of(name: string): ImageUsage | undefined {
    const entry = this.#entries.get(name);
    if (entry === undefined) return undefined;
    const uses = [...entry.uses.values()];
    const { reference, tenant } = entry.wanted;
    return {
      reference,
      ...(tenant === undefined ? {} : { tenant }),
      pods: uses.length,
      waitingPods: uses.filter(({ view }) => view.waiting).length,
      namespaces: sortedUnion(uses.map(({ view }) => [view.namespace])),
      pullSecrets: sortedUnion(uses.map(({ wanted }) => wanted.pullSecrets)),
      digests: sortedUnion(uses.map(({ view }) => view.digests)),
    };
  }

  /**
   * @param key `namespace/name` of the pod
   * @param view undefined when the pod is gone or needs nothing from the cache
   */
  setPod(key: string, view: PodView | undefined): ReadonlySet<string> {
    const namespace = view?.namespace ?? this.#pods.get(key)?.namespace ?? '';
    const members = this.#podsOfNamespace.get(namespace) ?? new Set();
    if (view === undefined) {
      this.#pods.delete(key);
      members.delete(key);
    } else {
      this.#pods.set(key, view);
      members.add(key);
    }
    if (members.size === 0) this.#podsOfNamespace.delete(namespace);
    else this.#podsOfNamespace.set(namespace, members);
    return this.#recompute(key);
  }

  setNamespace(namespace: string, optedIn: boolean): ReadonlySet<string> {
    if (optedIn === this.#optedIn.has(namespace)) return new Set();
    if (optedIn) this.#optedIn.add(namespace);
    else this.#optedIn.delete(namespace);
    const touched = new Set<string>();
    for (const key of this.#podsOfNamespace.get(namespace) ?? []) {
      for (const name of this.#recompute(key)) touched.add(name);
    }
    return touched;
  }

  /** The images that a pod wants by the current scope; the pod need not be known here. */
  wantedBy(view: PodView): readonly WantedImage[] {
    return wantedImages(view, this.#optedIn.has(view.namespace), this.#scope);
  }

  setScope(scope: CacheScope): ReadonlySet<string> {
    this.#scope = scope;
    return new Set([...this.#pods.keys()].flatMap((key) => [...this.#recompute(key)]));
  }

  #recompute(key: string): ReadonlySet<string> {
    const former = this.#wantedByPod.get(key) ?? [];
    for (const name of former) this.#forget(name, key);
    const view = this.#pods.get(key);
    const wanted = view === undefined ? [] : this.wantedBy(view);
    const names = wanted.map((image) => {
      const name = cachedImageName(image.reference, image.tenant);
      const entry = this.#entries.get(name) ?? { wanted: image, uses: new Map<string, Use>() };
      this.#entries.set(name, entry);
      if (view !== undefined) entry.uses.set(key, { view, wanted: image });
      return name;
    });
    if (names.length === 0) this.#wantedByPod.delete(key);
    else this.#wantedByPod.set(key, names);
    return new Set([...former, ...names]);
  }

  #forget(name: string, key: string): void {
    const entry = this.#entries.get(name);
    entry?.uses.delete(key);
    if (entry?.uses.size === 0) this.#entries.delete(name);
  }
}

function sortedUnion(lists: readonly (readonly string[])[]): readonly string[] {
  return [...new Set(lists.flat())].sort();
}
