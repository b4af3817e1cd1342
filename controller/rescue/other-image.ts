/** Translates between the two names of an image: upstream's and the cache's. */
import { restoreImage, rewriteImage } from '../../registry/core/cached-name.ts';
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
