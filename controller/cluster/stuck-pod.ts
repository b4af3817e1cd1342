/**
 * The part of a Pod that the rescue looks at: its containers that wait for an image which cannot be pulled, be it
 * their own or that of a volume.
 */
import { z } from 'zod';
import { ORIGINAL_IMAGES_ANNOTATION, RESCUED_ANNOTATION } from '../../api/names.ts';
import type { Pod } from '../../platform/kube/resource.ts';

/** The lists of a Pod's spec whose images may change while it exists. */
export const CONTAINER_LISTS = ['initContainers', 'containers'] as const;

/** One container, as it stands in the spec. */
export interface ContainerRef {
  readonly list: (typeof CONTAINER_LISTS)[number];
  readonly index: number;
  readonly name: string;
  readonly image: string;
}

/** Kept only for the few pods that are stuck. */
export interface StuckPod {
  readonly uid: string;
  readonly node: string;
  /** Those whose own image could not be pulled. */
  readonly containers: readonly ContainerRef[];
  /** The images of its volumes that could not be pulled. Nobody can change them while the Pod exists. */
  readonly volumeImages: readonly string[];
  readonly notes: PodNotes;
}

/** The contents of our annotations on a Pod; anybody may have written them. */
export interface PodNotes {
  /** By container: the image that its author asked for. Absent without the annotation. */
  readonly originals?: Readonly<Record<string, string>>;
  /** By container: the image that a rescue replaced. Absent without the annotation. */
  readonly rescued?: Readonly<Record<string, string>>;
  /** Whether the Pod has any annotations, and any labels. */
  readonly annotated: boolean;
  readonly labelled: boolean;
}

/**
 * The kubelet's reasons for an image that it failed to pull; not its reason for one that it may never pull.
 */
const PULL_FAILED: readonly string[] = ['ErrImagePull', 'ImagePullBackOff', 'RegistryUnavailable'];

/** Undefined when no container is stuck, or the pod is being deleted. */
export function viewStuck(pod: Pod): StuckPod | undefined {
  const { metadata = {}, spec, status } = pod;
  const waiting = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])].flatMap(
    ({ name, state }) =>
      PULL_FAILED.includes(state?.waiting?.reason ?? '')
        ? [{ name, volumeImages: volumesAtFault(pod, name, state?.waiting?.message ?? '') }]
        : [],
  );
  if (waiting.length === 0 || metadata.deletionTimestamp !== undefined) return undefined;
  const forTheirOwn = waiting.flatMap(({ name, volumeImages }) => (volumeImages.length === 0 ? [name] : []));
  return {
    uid: metadata.uid ?? '',
    node: spec?.nodeName ?? '',
    containers: containersOf(pod).filter(({ name }) => forTheirOwn.includes(name)),
    volumeImages: [...new Set(waiting.flatMap(({ volumeImages }) => volumeImages))],
    notes: notesOf(pod),
  };
}

/**
 * The images of volumes for which a container waits. The kubelet pulls volumes first, and reports a failure at
 * each container that mounts them, in the same words as one of its own image: only the message names the image.
 */
function volumesAtFault({ spec }: Pod, container: string, message: string): readonly string[] {
  const { volumeMounts = [] } =
    [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])].find(({ name }) => name === container) ??
    {};
  const named = message.split(/[\s"',;]+|docker:\/\//).map((word) => word.replace(/:$/, ''));
  return (spec?.volumes ?? []).flatMap(({ name, image }) =>
    image?.reference !== undefined &&
    named.includes(image.reference) &&
    volumeMounts.some((mount) => mount.name === name)
      ? [image.reference]
      : [],
  );
}

export function containersOf({ spec }: Pod): readonly ContainerRef[] {
  return CONTAINER_LISTS.flatMap((list) =>
    (spec?.[list] ?? []).map(({ name, image = '' }, index) => ({ list, index, name, image })),
  );
}

export function notesOf({ metadata: { annotations, labels } = {} }: Pod): PodNotes {
  const originals = note(annotations?.[ORIGINAL_IMAGES_ANNOTATION]);
  const rescued = note(annotations?.[RESCUED_ANNOTATION]);
  return {
    annotated: annotations !== undefined,
    labelled: labels !== undefined,
    ...(originals === undefined ? {} : { originals }),
    ...(rescued === undefined ? {} : { rescued }),
  };
}

const noteSchema = z.record(z.string(), z.string());

/** An annotation that cannot be read counts as empty. */
function note(text: string | undefined): Readonly<Record<string, string>> | undefined {
  if (text === undefined) return undefined;
  try {
    return noteSchema.parse(JSON.parse(text));
  } catch {
    return {};
  }
}
