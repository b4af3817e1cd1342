/** The two names of an image, upstream's and the cache's, and how to get from one to the other. */
import { restoreImage, rewriteImage } from '../../registry/core/cached-name.ts';
import { formatReference, parseReference } from '../../registry/core/reference.ts';
import { unlessInvalid } from '../cluster/unless-invalid.ts';

/**
 * What the author of a Pod asked for, when its image goes through the proxy; undefined when it does not.
 * @param claimed how its author spelt it, as the annotation says; used when it means the same image
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

/** The name in the cache; undefined when the image has none. */
export function imageInCache(
  image: string,
  tenant: string | undefined,
  proxyHost: string,
): string | undefined {
  return unlessInvalid(() => rewriteImage(parseReference(image), tenant, proxyHost));
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
