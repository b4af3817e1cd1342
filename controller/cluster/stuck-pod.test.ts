import type { Pod } from '../../platform/kube/resource.ts';
import { patchImages } from '../rescue/patch-images.ts';
import { viewStuck } from './stuck-pod.ts';

function stuck(changes: { metadata?: object; statuses?: readonly object[] } = {}): Pod {
  return {
    metadata: { name: 'web', namespace: 'team-a', uid: 'u1', ...changes.metadata },
    spec: {
      nodeName: 'node-1',
      initContainers: [{ name: 'prepare', image: 'init:1' }],
      containers: [
        { name: 'runs', image: 'a:1' },
        { name: 'waits', image: 'b:1' },
      ],
    },
    status: {
      containerStatuses: changes.statuses ?? [
        { name: 'waits', state: { waiting: { reason: 'ImagePullBackOff' } } },
        { name: 'runs', state: { running: {} } },
      ],
    },
  } as unknown as Pod;
}

describe('the containers of a pod that are stuck', () => {
  it('are those whose image could not be pulled, wherever they stand in the status', () => {
    expect(viewStuck(stuck())?.containers).toEqual([
      { list: 'containers', index: 1, name: 'waits', image: 'b:1' },
    ]);
  });

  it.each(['ErrImageNeverPull', 'CrashLoopBackOff', 'ContainerCreating', 'InvalidImageName'])(
    'are not those that wait for another reason: %s',
    (reason) => {
      expect(
        viewStuck(stuck({ statuses: [{ name: 'waits', state: { waiting: { reason } } }] })),
      ).toBeUndefined();
    },
  );

  it('are nobody’s business any more when the pod is about to go', () => {
    expect(viewStuck(stuck({ metadata: { deletionTimestamp: '2026-11-21T03:00:00Z' } }))).toBeUndefined();
  });

  it('may carry notes that nobody can read', () => {
    const annotations = { 'larder.dev/rescued': 'not JSON', 'larder.dev/original-images': '{"a": 1}' };
    expect(viewStuck(stuck({ metadata: { annotations } }))?.notes).toEqual({
      annotated: true,
      labelled: false,
      originals: {},
      rescued: {},
    });
  });
});

describe('a container that mounts the image of a volume', () => {
  const VOLUME = 'localhost:7439/team-a.tenant/ghcr.io/acme/data:7';

  const stuckFor = (message: string | undefined, image = 'ghcr.io/acme/app:7') => {
    const found = viewStuck({
      spec: {
        nodeName: 'node-1',
        containers: [{ name: 'main', image, volumeMounts: [{ name: 'data', mountPath: '/data' }] }],
        volumes: [{ name: 'data', image: { reference: VOLUME } }],
      },
      status: {
        containerStatuses: [{ name: 'main', state: { waiting: { reason: 'ImagePullBackOff', message } } }],
      },
    } as unknown as Pod);
    return { containers: found?.containers.map(({ name }) => name), volumeImages: found?.volumeImages };
  };

  it.each([
    [`Back-off pulling image "${VOLUME}"`],
    [`Back-off pulling image "${VOLUME}": ErrImagePull: failed to pull and unpack image "${VOLUME}": 403`],
    [`unable to pull image: initializing source docker://${VOLUME}: 403`],
  ])('waits for that when the kubelet says so: %s', (message) => {
    expect(stuckFor(message)).toEqual({ containers: [], volumeImages: [VOLUME] });
  });

  it('waits for its own image when the kubelet names that, or none', () => {
    const own = { containers: ['main'], volumeImages: [] };
    expect(stuckFor('Back-off pulling image "ghcr.io/acme/app:7"')).toEqual(own);
    expect(stuckFor(`Back-off pulling image "${VOLUME}0"`, `${VOLUME}0`)).toEqual(own);
    expect(stuckFor(undefined)).toEqual(own);
  });
});

describe('the patch that helps a pod', () => {
  const container = { list: 'containers', index: 1, name: 'waits', image: 'b:1' } as const;

  it('changes the image of that container only, of that version of the pod only, and says so', () => {
    const notes = { annotated: true, labelled: true, rescued: { before: 'c:1' } };
    expect(
      patchImages('42', notes, [{ container, image: 'b:2', reason: 'OriginalImageRestored' }]).body,
    ).toEqual([
      { op: 'replace', path: '/metadata/resourceVersion', value: '42' },
      { op: 'replace', path: '/spec/containers/1/image', value: 'b:2' },
      {
        op: 'add',
        path: '/metadata/annotations/larder.dev~1rescued',
        value: '{"before":"c:1","waits":"b:1"}',
      },
    ]);
  });

  it('marks a pod that comes to depend on the cache as admission does', () => {
    const notes = { annotated: false, labelled: false };
    const change = { container, image: 'localhost:7439/b:1', reason: 'CachedImageUsed' } as const;
    expect(patchImages('42', notes, [change]).body).toEqual([
      { op: 'replace', path: '/metadata/resourceVersion', value: '42' },
      { op: 'replace', path: '/spec/containers/1/image', value: 'localhost:7439/b:1' },
      { op: 'add', path: '/metadata/annotations', value: {} },
      { op: 'add', path: '/metadata/annotations/larder.dev~1rescued', value: '{"waits":"b:1"}' },
      { op: 'add', path: '/metadata/labels', value: {} },
      { op: 'add', path: '/metadata/labels/larder.dev~1rewritten', value: 'true' },
      { op: 'add', path: '/metadata/annotations/larder.dev~1original-images', value: '{"waits":"b:1"}' },
    ]);
  });

  const VOID = 'localhost:7439/team-a.tenant/ghcr.io/acme/app:7';
  const CAPABLE = `localhost:7439/team-a.tenant.${'0'.repeat(26)}/ghcr.io/acme/app:7`;

  it('notes nothing of a new name: the author’s original stands, and later help is not used up', () => {
    const notes = { annotated: true, labelled: true, originals: { waits: 'ghcr.io/acme/app:7' } };
    const change = {
      container: { ...container, image: VOID },
      image: CAPABLE,
      reason: 'CachedNameRenewed',
    } as const;
    expect(patchImages('42', notes, [change]).body).toEqual([
      { op: 'replace', path: '/metadata/resourceVersion', value: '42' },
      { op: 'replace', path: '/spec/containers/1/image', value: CAPABLE },
    ]);
  });

  it('notes the name that it replaces without its capability', () => {
    const notes = { annotated: true, labelled: true };
    const change = {
      container: { ...container, image: CAPABLE },
      image: 'ghcr.io/acme/app:7',
      reason: 'OriginalImageRestored',
    } as const;
    expect(patchImages('42', notes, [change]).body).toContainEqual({
      op: 'add',
      path: '/metadata/annotations/larder.dev~1rescued',
      value: JSON.stringify({ waits: VOID }),
    });
  });
});
