/** The patch that gives containers of a Pod other images, and notes that on the Pod: pure. */
import { ORIGINAL_IMAGES_ANNOTATION, RESCUED_ANNOTATION, REWRITTEN_LABEL } from '../../api/names.ts';
import type { Patch } from '../../platform/kube/client.ts';
import { hideCapabilities } from '../../platform/redact.ts';
import type { ContainerRef, PodNotes } from '../cluster/stuck-pod.ts';
import type { Rescue } from './decide.ts';

export interface ImageChange {
  readonly container: ContainerRef;
  readonly image: string;
  readonly reason: Rescue['reason'];
}

/**
 * It changes only these images, our annotations and our label. If the Pod has changed since the decision, the
 * server refuses it (409), because one of the containers may run by then. A new name in the cache is not noted:
 * the original stays what it was, and the container may need other help later.
 */
export function patchImages(
  resourceVersion: string,
  { originals, rescued, annotated, labelled }: PodNotes,
  changes: readonly ImageChange[],
): Patch {
  const cached = changes.filter(({ reason }) => reason === 'CachedImageUsed');
  const exchanged = changes.filter(({ reason }) => reason !== 'CachedNameRenewed');
  const body = [
    { op: 'replace', path: '/metadata/resourceVersion', value: resourceVersion },
    ...changes.map(({ container: { list, index }, image }) => ({
      op: 'replace',
      path: `/spec/${list}/${index}/image`,
      value: image,
    })),
    ...(exchanged.length === 0
      ? []
      : [
          ...(annotated ? [] : [add('/metadata/annotations', {})]),
          add(annotation(RESCUED_ANNOTATION), note(rescued, exchanged)),
        ]),
    ...(cached.length === 0
      ? []
      : [
          ...(labelled ? [] : [add('/metadata/labels', {})]),
          add(`/metadata/labels/${escaped(REWRITTEN_LABEL)}`, 'true'),
          add(annotation(ORIGINAL_IMAGES_ANNOTATION), note(originals, cached)),
        ]),
  ];
  return { type: 'json', body };
}

/** The former note, and the images that are replaced now, whose capabilities are nobody's business. */
function note(before: Readonly<Record<string, string>> | undefined, changes: readonly ImageChange[]): string {
  const replaced = Object.fromEntries(
    changes.map(({ container: { name, image } }) => [name, hideCapabilities(image)]),
  );
  return JSON.stringify({ ...before, ...replaced });
}

function add(path: string, value: unknown): object {
  return { op: 'add', path, value };
}

function annotation(name: string): string {
  return `/metadata/annotations/${escaped(name)}`;
}

/** RFC 6901, section 3; our names contain no tilde. */
function escaped(name: string): string {
  return name.replaceAll('/', '~1');
}
