/** Pull secrets from the Kubernetes API: the CachedImage of an image says which, its tenant's namespace holds them. */
import { setTimeout as delay } from 'node:timers/promises';
import { parseCachedImage, type CachedImageSpec } from '../api/cached-image.ts';
import {
  API_GROUP,
  API_VERSION,
  cachedImageName,
  CACHED_IMAGE_KIND,
  CACHED_IMAGE_PLURAL,
} from '../api/names.ts';
import type { KubeClient } from '../platform/kube/client.ts';
import { isNotFound } from '../platform/kube/error.ts';
import { secrets, type KubeObject, type Resource } from '../platform/kube/resource.ts';
import type { CachedName } from '../registry/core/cached-name.ts';
import { parseManifestReference } from '../registry/core/distribution-path.ts';
import { RegistryError } from '../registry/core/errors.ts';
import { parseReference, reference as makeReference } from '../registry/core/reference.ts';
import type { PullSecretSource } from './keyring.ts';

const POLL_MS = 200;

/** A CachedImage cut down to what says who may fetch it. */
interface Claim extends KubeObject {
  readonly spec: Pick<CachedImageSpec, 'image' | 'tenant' | 'pullSecrets'>;
}

const claims: Resource<Claim> = {
  group: API_GROUP,
  version: API_VERSION,
  kind: CACHED_IMAGE_KIND,
  plural: CACHED_IMAGE_PLURAL,
  namespaced: false,
  decode: (raw) => {
    try {
      const { spec } = parseCachedImage(raw);
      return { spec };
    } catch {
      return undefined;
    }
  },
};

export class KubePullSecrets implements PullSecretSource {
  readonly #kube: KubeClient;
  readonly #patienceMs: number;

  /** @param patienceMs how long to wait for the CachedImage of a pod that has just been made, in milliseconds */
  constructor(kube: KubeClient, patienceMs: number) {
    this.#kube = kube;
    this.#patienceMs = patienceMs;
  }

  async readSecret(namespace: string, name: string, signal: AbortSignal): Promise<unknown> {
    return this.#kube.get(secrets, { namespace, name }, { signal }).catch(undefinedWhenAbsent);
  }

  async secretNames(
    name: CachedName,
    reference: string | undefined,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    // Other images of the repository are fetched with the same secrets; the one that is asked for may be about to be made.
    const giveUpAt = performance.now() + (reference === undefined ? 0 : this.#patienceMs);
    for (;;) {
      const image = reference === undefined ? undefined : await this.#imageOf(name, reference, signal);
      const found = image?.spec.pullSecrets ?? (await this.#namesOfRepository(name, signal));
      if (found.length > 0 || performance.now() >= giveUpAt) return found;
      await delay(POLL_MS, undefined, { signal });
    }
  }

  async #imageOf(name: CachedName, reference: string, signal: AbortSignal): Promise<Claim | undefined> {
    const parsed = parseManifestReference(reference);
    const image = makeReference(
      name,
      'tag' in parsed ? parsed.tag : undefined,
      'digest' in parsed ? parsed.digest : undefined,
    );
    const ref = { name: cachedImageName(image, name.tenant) };
    return this.#kube.get(claims, ref, { signal }).catch(undefinedWhenAbsent);
  }

  async #namesOfRepository(name: CachedName, signal: AbortSignal): Promise<readonly string[]> {
    const { items } = await this.#kube.listAll(claims, { signal });
    const ofRepository = items.filter(({ spec }) => spec.tenant === name.tenant && isOf(spec.image, name));
    return [...new Set(ofRepository.flatMap(({ spec }) => spec.pullSecrets ?? []))];
  }
}

function isOf(image: string, { host, repository }: CachedName): boolean {
  try {
    const parsed = parseReference(image);
    return parsed.host === host && parsed.repository === repository;
  } catch (error) {
    if (error instanceof RegistryError) return false;
    throw error;
  }
}

function undefinedWhenAbsent(error: unknown): undefined {
  if (isNotFound(error)) return undefined;
  throw error;
}
