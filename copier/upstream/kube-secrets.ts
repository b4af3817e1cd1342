/** Pull secrets from the Kubernetes API: CachedImages name them, their tenants' namespaces have them. */
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { API_GROUP, API_VERSION, CACHED_IMAGE_KIND, CACHED_IMAGE_PLURAL } from '../../api/names.ts';
import type { ObjectCache } from '../../platform/kube/cache.ts';
import type { KubeClient } from '../../platform/kube/client.ts';
import { isNotFound } from '../../platform/kube/error.ts';
import { secrets, type KubeObject, type ObjectMeta, type Resource } from '../../platform/kube/resource.ts';
import type { CachedName } from '../../registry/core/cached-name.ts';
import { RegistryError } from '../../registry/core/errors.ts';
import { parseReference, type Reference } from '../../registry/core/reference.ts';
import type { PullSecretSource } from './keyring.ts';

const POLL_MS = 50;
const BY_REPOSITORY = 'repository';

/** A tenant's CachedImage: an image, and the pull secrets to fetch it with. */
export interface TenantImage extends KubeObject {
  readonly tenant: string;
  readonly image: Reference;
  readonly pullSecrets: readonly string[];
}

const specSchema = z.object({
  tenant: z.string(),
  image: z.string().transform((image) => parseReference(image)),
  pullSecrets: z.array(z.string()).default([]),
});

/** CachedImages of public images are left out: there are thousands, and they name no secrets. */
export const tenantImages: Resource<TenantImage> = {
  group: API_GROUP,
  version: API_VERSION,
  kind: CACHED_IMAGE_KIND,
  plural: CACHED_IMAGE_PLURAL,
  namespaced: false,
  decode: (raw) => {
    const { metadata, spec } = raw as { metadata?: ObjectMeta; spec?: { tenant?: unknown } };
    if (spec?.tenant === undefined) return undefined;
    try {
      const { name = '', resourceVersion = '' } = metadata ?? {};
      return { metadata: { name, resourceVersion }, ...specSchema.parse(spec) };
    } catch {
      return undefined;
    }
  },
};

/** The index that `KubePullSecrets` searches. Call it before a watch fills the cache. */
export function indexTenantImages(images: ObjectCache<TenantImage>): ObjectCache<TenantImage> {
  images.addIndex(BY_REPOSITORY, ({ tenant, image }) => [keyOf({ ...image, tenant })]);
  return images;
}

export class KubePullSecrets implements PullSecretSource {
  readonly #kube: Pick<KubeClient, 'get'>;
  readonly #images: ObjectCache<TenantImage>;
  readonly #patienceMs: number;

  /**
   * @param images see `indexTenantImages`
   * @param patienceMs how long to wait for the CachedImage of a pod that has just been made, in milliseconds
   */
  constructor(kube: Pick<KubeClient, 'get'>, images: ObjectCache<TenantImage>, patienceMs: number) {
    this.#kube = kube;
    this.#images = images;
    this.#patienceMs = patienceMs;
  }

  async readSecret(namespace: string, name: string, signal: AbortSignal): Promise<unknown> {
    return this.#kube.get(secrets, { namespace, name }, { signal }).catch((error: unknown) => {
      if (isNotFound(error)) return undefined;
      throw error;
    });
  }

  /** @throws RegistryError while the CachedImages are not known yet */
  async secretNames(
    name: CachedName,
    reference: string | undefined,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    // Those of the repository's other images will do. When there are none, the pod's CachedImage may be about
    // to be created.
    const isDone = (found: readonly string[]): boolean =>
      this.#images.isSynced && (reference === undefined || found.length > 0);
    const giveUpAt = performance.now() + this.#patienceMs;
    for (;;) {
      const found = this.#known(name, reference);
      if (isDone(found)) return found;
      if (performance.now() >= giveUpAt) {
        if (this.#images.isSynced) return found;
        throw new RegistryError('the CachedImages, which say whose secrets to use, are not known yet', {
          reason: 'Internal',
        });
      }
      await delay(POLL_MS, undefined, { signal });
    }
  }

  #known(name: CachedName, reference: string | undefined): readonly string[] {
    const images = this.#images.byIndex(BY_REPOSITORY, keyOf(name));
    const own = images.find(({ image: { tag, digest } }) => reference === (digest ?? tag));
    const names = own?.pullSecrets.length
      ? own.pullSecrets
      : images.flatMap(({ pullSecrets }) => pullSecrets);
    return [...new Set(names)];
  }
}

function keyOf({ tenant = '', host, repository }: CachedName): string {
  return `${tenant} ${host}/${repository}`;
}
