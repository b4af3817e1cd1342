/**
 * Which images of a Pod depend on the cache, and which containers can be given their original image without
 * loss: pure.
 */
import type { Pod } from '../../platform/kube/resource.ts';
import { originalImage } from '../rescue/other-image.ts';
import type { ImageChange } from '../rescue/patch-images.ts';
import { containersOf, notesOf } from '../cluster/stuck-pod.ts';

const FINISHED: readonly string[] = ['Succeeded', 'Failed'];

/** The images of an unfinished pod that go through the proxy, by container or `volume/<name>`. */
export function dependence(pod: Pod, proxyHost: string): Readonly<Record<string, string>> {
  const { spec, status, metadata } = pod;
  if (FINISHED.includes(status?.phase ?? '') || metadata?.deletionTimestamp !== undefined) return {};
  const ephemeral = (spec?.ephemeralContainers ?? []).map(({ name, image = '' }) => ({ name, image }));
  const volumes = (spec?.volumes ?? []).map(({ name, image }) => ({
    name: `volume/${name}`,
    image: image?.reference ?? '',
  }));
  const through = [...containersOf(pod), ...ephemeral, ...volumes].filter(
    ({ image }) => originalImage(image, undefined, proxyHost) !== undefined,
  );
  return Object.fromEntries(through.map(({ name, image }) => [name, image]));
}

/**
 * The original images of all containers that wait, for whatever reason. Containers that run or have run are
 * left alone.
 */
export function restoration(pod: Pod, proxyHost: string): readonly ImageChange[] {
  const depends = dependence(pod, proxyHost);
  const started = new Set(
    [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])]
      .filter(({ state }) => state?.running !== undefined || state?.terminated !== undefined)
      .map(({ name }) => name),
  );
  const { originals } = notesOf(pod);
  return containersOf(pod)
    .filter(({ name }) => depends[name] !== undefined && !started.has(name))
    .flatMap((container) => {
      const image = originalImage(container.image, originals?.[container.name], proxyHost);
      return image === undefined ? [] : [{ container, image, reason: 'OriginalImageRestored' }];
    });
}
