/**
 * Finds every field of a Pod that the kubelet pulls an image for, without assuming that the rest is
 * well-formed.
 */
import { z } from 'zod';
import type { JsonObject } from './admission-review.ts';

/** One field of a Pod that names an image. */
export interface ImageField {
  /** The container's name, or `volume/<name>`: the key in the annotation. Unique within a Pod. */
  readonly key: string;
  /** As the Pod has it. */
  readonly image: string;
  readonly pullPolicy: string | undefined;
  /** From the Pod's root to the field. */
  readonly path: readonly (string | number)[];
}

const Container = z.object({
  name: z.string(),
  image: z.string().min(1),
  imagePullPolicy: z.string().optional().catch(undefined),
});
const ImageVolume = z.object({
  name: z.string(),
  // Absent from most volumes.
  image: z
    .object({ reference: z.string().min(1), pullPolicy: z.string().optional().catch(undefined) })
    .optional(),
});
const Items = z.array(z.unknown()).catch([]);
const Spec = z
  .object({ containers: Items, initContainers: Items, ephemeralContainers: Items, volumes: Items })
  .catch({ containers: [], initContainers: [], ephemeralContainers: [], volumes: [] });

const CONTAINER_LISTS = ['initContainers', 'containers', 'ephemeralContainers'] as const;

/** Every image of a Pod, in a fixed order. Fields that are empty or malformed are left out. */
export function imageFields(pod: JsonObject): readonly ImageField[] {
  const spec = Spec.parse(pod['spec']);
  const containers = CONTAINER_LISTS.flatMap((list) =>
    spec[list].flatMap((item, index): ImageField[] => {
      const { data } = Container.safeParse(item);
      if (!data) return [];
      const path = ['spec', list, index, 'image'];
      return [{ key: data.name, image: data.image, pullPolicy: data.imagePullPolicy, path }];
    }),
  );
  const volumes = spec.volumes.flatMap((item, index): ImageField[] => {
    const { data } = ImageVolume.safeParse(item);
    if (!data?.image) return [];
    const { reference, pullPolicy } = data.image;
    return [
      {
        key: `volume/${data.name}`,
        image: reference,
        pullPolicy,
        path: ['spec', 'volumes', index, 'image', 'reference'],
      },
    ];
  });
  return [...containers, ...volumes];
}

/**
 * The Pod with some of its images replaced. The unchanged parts are the given Pod's own, so that comparing
 * both is cheap.
 */
export function replaceImages(pod: JsonObject, images: ReadonlyMap<ImageField, string>): JsonObject {
  return [...images].reduce<JsonObject>(
    (at, [{ path }, image]) => withValue(at, path, image) as JsonObject,
    pod,
  );
}

/** Replaces a value, copying only the objects on the way to it. */
function withValue(at: unknown, [step, ...further]: readonly (string | number)[], value: string): unknown {
  if (step === undefined) return value;
  const copy = (Array.isArray(at) ? [...(at as unknown[])] : { ...(at as object) }) as Record<
    string | number,
    unknown
  >;
  copy[step] = withValue(copy[step], further, value);
  return copy;
}
