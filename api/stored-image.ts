/** An image in the store, and the repository that holds it. */
import { encodeCachedName } from '../registry/core/cached-name.ts';
import type { ImageName, Reference } from '../registry/core/reference.ts';

/** An image, and the tenant whose credentials fetch it; without a tenant it is public. */
export interface StoredImage {
  readonly reference: Reference;
  readonly tenant?: string;
}

/** The repository in the store that holds the image. */
export function repositoryOf({
  reference: { host, repository },
  tenant,
}: {
  readonly reference: ImageName;
  readonly tenant?: string | undefined;
}): string {
  return encodeCachedName({ host, repository, ...(tenant === undefined ? {} : { tenant }) });
}
