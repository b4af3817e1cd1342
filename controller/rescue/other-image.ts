/** Translates between the two names of an image: upstream's and the cache's. */
import { type CapabilityOf, restoreImage, rewriteImage } from '../../registry/core/cached-name.ts';
import { type CapabilityKey, isCapabilityFor } from '../../registry/core/capability.ts';
import { formatReference, parseReference } from '../../registry/core/reference.ts';
import { unlessInvalid } from '../cluster/unless-invalid.ts';

/**
 * The image that the author of a Pod asked for; undefined when the image does not go through the proxy.
 * @param claimed the author's spelling according to the annotation; used only if it means the same image
 */
export function originalImage(
  image: string,
  claimed: string | undefined,
  proxyHost: string,
): string | undefined {
  const original = restored(image, proxyHost);
  if (original === undefined) return undefined;
  return claimed !== undefined && normalised(claimed) === original ? claimed : original;
}

/** The image's name in the cache; undefined when it has none. */
export function imageInCache(
  image: string,
  tenant: string | undefined,
  proxy: { readonly proxyHost: string; readonly capabilityOf: CapabilityOf },
): string | undefined {
  return unlessInvalid(() => rewriteImage(parseReference(image), tenant, proxy));
}

/** Whether it is the name in the cache of an image that belongs to a namespace, whatever its capability is worth. */
export function isTenantName(image: string, proxyHost: string): boolean {
  return unlessInvalid(() => restoreImage(parseReference(image), proxyHost)?.tenant !== undefined) === true;
}

/**
 * Whether every proxy would refuse this name: it is a tenant's, and no key of the release made its capability.
 * While no key is known, nobody can tell.
 */
export function lacksCapability(image: string, proxyHost: string, keys: readonly CapabilityKey[]): boolean {
  return (
    unlessInvalid(() => {
      const { reference, tenant, capability } = restoreImage(parseReference(image), proxyHost) ?? {};
      if (reference === undefined || tenant === undefined || keys.length === 0) return false;
      const { host, repository } = reference;
      return !isCapabilityFor({ tenant, host, repository }, capability, keys);
    }) === true
  );
}

function restored(image: string, proxyHost: string): string | undefined {
  return unlessInvalid(() => {
    const original = restoreImage(parseReference(image), proxyHost);
    return original === undefined ? undefined : formatReference(original.reference);
  });
}

function normalised(image: string): string | undefined {
  return unlessInvalid(() => formatReference(parseReference(image)));
}
