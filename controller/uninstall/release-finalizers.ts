/** Removes our finalizer from every CachedImage, once there is no leader that would put it back. */
import { CACHED_IMAGE_FINALIZER } from '../../api/names.ts';
import type { Clock } from '../../platform/clock.ts';
import type { KubeClient } from '../../platform/kube/client.ts';
import { isConflict, isNotFound } from '../../platform/kube/error.ts';
import { microTime } from '../../platform/kube/lease.ts';
import { leases, type ObjectRef } from '../../platform/kube/resource.ts';
import type { Logger } from '../../platform/log.ts';
import { imageRecords } from '../cluster/resources.ts';

export interface ReleaseFinalizersOptions {
  readonly client: KubeClient;
  readonly lease: ObjectRef;
  readonly identity: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** If the job dies half-way, a controller can lead again after this time. */
const WORKING_SECONDS = 60;
/**
 * The time that helm has to delete the controllers once the job is done: one that led before that would put
 * the finalizers back. A new install must wait as long before it can lead, and rewrites no image until then.
 */
const LEAVING_SECONDS = 15;
/** Others may write to an image at the same time. */
const ATTEMPTS = 5;

/**
 * @returns how many images had the finalizer
 * @throws KubeError
 */
export async function releaseFinalizers(options: ReleaseFinalizersOptions): Promise<number> {
  const { clock, log, signal } = options;
  const leadsForMs = await takeLease(options, WORKING_SECONDS);
  // Until its next renewal the former leader does not know that it lost the lease, and puts finalizers back.
  log.info('waiting until the controller no longer leads', { seconds: leadsForMs / 1_000 });
  await clock.sleep(leadsForMs, signal);
  const released = await release(options);
  await takeLease(options, LEAVING_SECONDS);
  return released;
}

async function release({ client }: ReleaseFinalizersOptions): Promise<number> {
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

/**
 * @returns how long the former holder may still believe that it leads, in milliseconds: the duration of its
 * lease
 */
async function takeLease(
  { client, clock, lease, identity, log }: ReleaseFinalizersOptions,
  seconds: number,
): Promise<number> {
  const now = microTime(clock.now());
  const spec = {
    holderIdentity: `${identity}-uninstall`,
    leaseDurationSeconds: seconds,
    renewTime: now,
    acquireTime: now,
  };
  try {
    const { spec: held } = await client.get(leases, lease);
    await client.patch(leases, lease, { type: 'merge', body: { spec } });
    return held?.holderIdentity ? (held.leaseDurationSeconds ?? 0) * 1_000 : 0;
  } catch (error) {
    if (!isNotFound(error)) throw error;
    log.info('there is no lease, so no controller leads', { lease: lease.name });
    return 0;
  }
}
