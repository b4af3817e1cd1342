/** Reads from the API server which images pods use; called before anything is deleted. */
import { namespaceAsks } from '../../api/rules.ts';
import type { KubeClient } from '../../platform/kube/client.ts';
import { keyOf } from '../../platform/kube/resource.ts';
import type { CacheScope } from './pod-view.ts';
import { namespaceRecords, podRecords } from './resources.ts';
import { UsageIndex } from './usage.ts';

/**
 * Each read lists all pods. Callers that come while a list is under way share the next one, so the answer is
 * never older than the question.
 */
export class UsageReader {
  readonly #client: Pick<KubeClient, 'listAll'>;
  readonly #scope: () => CacheScope;
  #current: Promise<unknown> = Promise.resolve();
  #next: Promise<UsageIndex> | undefined;

  constructor(client: Pick<KubeClient, 'listAll'>, scope: () => CacheScope) {
    this.#client = client;
    this.#scope = scope;
  }

  /** @throws KubeError, DeadlineError */
  readonly read = (): Promise<UsageIndex> => {
    this.#next ??= this.#after(this.#current);
    return this.#next;
  };

  async #after(current: Promise<unknown>): Promise<UsageIndex> {
    await current.catch(() => undefined);
    const list = this.#list();
    this.#current = list;
    this.#next = undefined;
    return list;
  }

  async #list(): Promise<UsageIndex> {
    const [pods, namespaces] = await Promise.all([
      this.#client.listAll(podRecords),
      this.#client.listAll(namespaceRecords),
    ]);
    const scope = this.#scope();
    const usage = new UsageIndex(scope);
    for (const { metadata, cacheLabel } of namespaces.items)
      usage.setNamespace(metadata.name ?? '', namespaceAsks(scope.rules, cacheLabel));
    for (const record of pods.items) usage.setPod(keyOf(record), record.view);
    return usage;
  }
}
