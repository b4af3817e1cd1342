/** Takes our finalizer off every CachedImage, while nobody leads who would put it back. */
import { CACHED_IMAGE_FINALIZER } from '../api/names.ts';
import type { KubeClient } from '../platform/kube/client.ts';
import { isConflict, isNotFound } from '../platform/kube/error.ts';
import { microTime } from '../platform/kube/lease.ts';
import { leases } from '../platform/kube/resource.ts';
import type { ObjectRef } from '../platform/kube/resource.ts';
import type { Logger } from '../platform/log.ts';
import { imageRecords } from './resources.ts';

export interface ReleaseFinalizersOptions {
  readonly client: KubeClient;
  readonly lease: ObjectRef;
  readonly identity: string;
  readonly log: Logger;
}

/** Should the release not be uninstalled after all, a controller leads again after this time and puts the finalizers back. */
const LEASE_SECONDS = 60;
/** Somebody may write to an image at the same time. */
const ATTEMPTS = 5;

/** @returns how many images had it. @throws KubeError */
export async function releaseFinalizers(options: ReleaseFinalizersOptions): Promise<number> {
  const { client } = options;
  await takeLease(options);
  let released = 0;
  for (let attempt = 1; ; attempt++) {
    const { items } = await client.listAll(imageRecords);
    const held = items.filter(({ image }) => image.metadata.finalizers?.includes(CACHED_IMAGE_FINALIZER));
    if (held.length === 0) return released;
    if (attempt > ATTEMPTS) throw new Error(`${held.length} CachedImages keep their finalizer`);
    for (const { image } of held) {
      const { name, resourceVersion, finalizers = [] } = image.metadata;
      const others = finalizers.filter((finalizer) => finalizer !== CACHED_IMAGE_FINALIZER);
      const body = { metadata: { resourceVersion, finalizers: others } };
      try {
        await client.patch(imageRecords, { name }, { type: 'merge', body });
        released += 1;
      } catch (error) {
        if (!isConflict(error) && !isNotFound(error)) throw error;
      }
    }
  }
}

/** The leader that it is taken from writes nothing from its next renewal on; what it wrote before that, the next list shows. */
async function takeLease({ client, lease, identity, log }: ReleaseFinalizersOptions): Promise<void> {
  const spec = {
    holderIdentity: `${identity}-uninstall`,
    leaseDurationSeconds: LEASE_SECONDS,
    renewTime: microTime(Date.now()),
    acquireTime: microTime(Date.now()),
  };
  try {
    await client.patch(leases, lease, { type: 'merge', body: { spec } });
  } catch (error) {
    if (!isNotFound(error)) throw error;
    log.info('there is no lease, so nobody leads', { lease: lease.name });
  }
}
