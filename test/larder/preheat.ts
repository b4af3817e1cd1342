/** Puts images into the cache as a user does, with CachedImages. */
import type { Cluster } from '../cluster/cluster.ts';

export const CACHED_IMAGES = 'larder.dev/v1alpha1/cachedimages';

interface CachedImageView {
  readonly metadata: { readonly name: string };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/**
 * Creates a CachedImage for each image and waits until all are Ready.
 * @param prefix of their names; `forget` removes them by it
 */
export async function preheat(cluster: Cluster, prefix: string, images: readonly string[]): Promise<void> {
  const names = images.map((_, index) => `${prefix}-${index}`);
  await cluster.apply(
    images.map((image, index) => ({
      apiVersion: 'larder.dev/v1alpha1',
      kind: 'CachedImage',
      metadata: { name: names[index], labels: { 'larder-test': prefix } },
      spec: { image, retain: true },
    })),
  );
  const ready = async (): Promise<boolean> => {
    const ours = { selector: `larder-test=${prefix}` };
    const { items } = await cluster.read<{ items: CachedImageView[] }>(CACHED_IMAGES, ours);
    const waiting = items.filter(
      ({ status }) => !status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
    );
    if (waiting.length > 0)
      throw new Error(`not Ready: ${waiting.map(({ metadata }) => metadata.name).join(', ')}`);
    return items.length === images.length;
  };
  await cluster.waitFor(`${images.length} CachedImages are Ready`, ready, {
    deadlineMs: 60_000,
    intervalMs: 300,
  });
}

export async function forget(cluster: Cluster, prefix: string): Promise<void> {
  await cluster.kubectl(['delete', 'cachedimages', '--selector', `larder-test=${prefix}`, '--wait=false']);
}
