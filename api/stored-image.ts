/** An image as it lies in the store, and the repository that it lies in. */
import { encodeCachedName } from '../registry/core/cached-name.ts';
import type { ImageName, Reference } from '../registry/core/reference.ts';

/** What of the store is meant by an order: an image, and by whom it is fetched. */
export interface StoredImage {
  readonly reference: Reference;
  readonly tenant?: string;
}

/** The repository in the store that an image lies in. */
export function repositoryOf({
  reference: { host, repository },
  tenant,
}: {
  readonly reference: ImageName;
  readonly tenant?: string | undefined;
}): string {
  return encodeCachedName({ host, repository, ...(tenant === undefined ? {} : { tenant }) });
}
