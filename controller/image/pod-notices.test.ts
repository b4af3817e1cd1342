/** What pods are told about the images that they use. */
import type { CachedImageStatus } from '../../api/cached-image.ts';
import { cachedImageName } from '../../api/names.ts';
import { ObjectCache } from '../../platform/kube/cache.ts';
import type { EventToRecord } from '../../platform/kube/events.ts';
import { parseReference } from '../../registry/core/reference.ts';
import { PodNotices } from './pod-notices.ts';
import { podRecords, type PodRecord } from '../cluster/resources.ts';
import { COPIED, DIGEST, pod, SCOPE } from '../test-objects.ts';
import { UsageIndex } from '../cluster/usage.ts';

const IMAGE = 'docker.io/library/nginx:1';
const NAME = cachedImageName(parseReference(IMAGE));
const OLD = `sha256:${'b'.repeat(64)}`;

function conditions(...pairs: readonly (readonly [string, string])[]): CachedImageStatus {
  return {
    conditions: pairs.map(([type, reason]) => ({
      type,
      reason,
      status: ['Cached', 'Available'].includes(reason) ? 'True' : 'False',
      message: 'as it said',
      lastTransitionTime: '2026-11-21T03:00:00Z',
    })),
  };
}

function bench() {
  const told: string[] = [];
  const [pods, usage] = [new ObjectCache<PodRecord>(), new UsageIndex(SCOPE)];
  usage.setNamespace('team-a', true);
  const notices = new PodNotices({
    pods,
    usage,
    events: {
      record: ({ regarding, type, reason }: EventToRecord) => {
        told.push(`${type} ${reason} ${regarding.name} ${regarding.uid ?? '-'}`);
      },
    },
  });
  const add = (name: string, phase: string, digest = DIGEST): void => {
    const status = { phase, containerStatuses: [{ imageID: `docker.io/library/nginx@${digest}` }] };
    const object = podRecords.decode(pod(IMAGE, { metadata: { name, uid: `uid-${name}` }, status }));
    if (object === undefined) throw new Error('no pod');
    pods.apply({ type: 'upsert', object });
    usage.setPod(`team-a/${name}`, object.view);
  };
  return {
    told,
    pods,
    add,
    tell: (status: CachedImageStatus) => {
      notices.notify(NAME, IMAGE, status);
    },
  };
}

it('pods that wait learn why their image is not copied, once each', () => {
  const { told, add, tell } = bench();
  add('waits', 'Pending');
  add('runs', 'Running');
  tell(conditions(['Ready', 'Pending']));
  expect(told).toEqual([]);
  for (const reason of ['NotFound', 'Unreachable']) tell(conditions(['Ready', reason]));
  expect(told).toEqual(['Warning CopyFailed waits uid-waits']);
  add('later', 'Pending');
  tell(conditions(['Ready', 'NotFound']));
  expect(told.at(-1)).toBe('Warning CopyFailed later uid-later');
  expect(told).toHaveLength(2);
});

it('pods learn that upstream has lost what they run, but not that it is away for a while', () => {
  const { told, add, tell } = bench();
  add('runs', 'Running');
  tell(conditions(['Ready', 'Cached'], ['UpstreamAvailable', 'Unreachable']));
  expect(told).toEqual([]);
  tell(conditions(['Ready', 'Cached'], ['UpstreamAvailable', 'NotFound']));
  expect(told).toEqual(['Warning UpstreamNotFound runs uid-runs']);
});

it('pods learn that their tag names something else by now, if they run what it named before', () => {
  const { told, add, tell } = bench();
  add('old', 'Running', OLD);
  add('new', 'Running');
  const previousDigests = [{ digest: OLD, replacedTime: '2026-11-21T03:00:00Z' }];
  tell({
    ...COPIED,
    ...conditions(['Ready', 'Cached'], ['UpstreamAvailable', 'Available']),
    previousDigests,
  });
  expect(told).toEqual(['Warning UpstreamMoved old uid-old']);
});

it('tells the first of very many pods only', () => {
  const { told, add, tell } = bench();
  for (let n = 0; n < 40; n += 1) add(`runs-${n}`, 'Running');
  tell(conditions(['Ready', 'Cached'], ['UpstreamAvailable', 'NotFound']));
  expect(told).toHaveLength(16);
});
