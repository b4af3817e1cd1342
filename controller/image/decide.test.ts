import fc from 'fast-check';
import { READY_REASONS } from '../../api/reasons.ts';
import { findCondition } from '../../platform/kube/conditions.ts';
import type { CopyState } from '../jobs/job-state.ts';
import { decide } from './decide.ts';
import { type Decision, type Gathered, PRIORITY } from './decision.ts';
import {
  cachedImage,
  COPIED,
  jobFailure,
  copyRequest,
  DIGEST,
  gathered,
  NOW,
  usageOf,
} from '../test-objects.ts';

const IMAGE = 'docker.io/library/nginx:1.27';
const MADE_FOR_PODS = { labels: { 'larder.dev/made-for': 'pods' } };

function ready({ status }: Decision): string | undefined {
  const condition = findCondition(status?.conditions, 'Ready');
  return condition && `${condition.status} ${condition.reason}`;
}

function upstream({ status }: Decision): string | undefined {
  const condition = findCondition(status?.conditions, 'UpstreamAvailable');
  return condition && `${condition.status} ${condition.reason}`;
}

describe('an image that pods use', () => {
  it('gets a CachedImage', () => {
    const usage = usageOf('ghcr.io/acme/app:7', { tenant: 'team-a', pullSecrets: ['regcred'] });
    expect(decide(gathered({ usage })).apply).toEqual({
      image: 'ghcr.io/acme/app:7',
      tenant: 'team-a',
      pullSecrets: ['regcred'],
    });
  });

  it('is copied for the platforms of the nodes and those that its spec asks for', () => {
    const image = cachedImage(IMAGE, { spec: { platforms: ['linux/arm64'] } });
    expect(decide(gathered({ image, usage: usageOf(IMAGE) })).copy).toMatchObject({
      do: 'start',
      request: { platforms: ['linux/amd64', 'linux/arm64'] },
    });
  });

  it.each([
    ['first when a pod waits for it', usageOf(IMAGE, { waitingPods: 1 }), PRIORITY.podsWait],
    ['then when its pods run', usageOf(IMAGE), PRIORITY.inUse],
    ['last when it only preheats the cache', undefined, PRIORITY.preheat],
  ])('is copied %s', (_, usage, priority) => {
    const image = cachedImage(IMAGE);
    expect(decide(gathered({ image, ...(usage && { usage }) })).copy).toMatchObject({
      do: 'start',
      priority,
    });
  });

  it('tells its users, and the first sixteen of their namespaces', () => {
    const namespaces = Array.from({ length: 20 }, (_, index) => `team-${String(index).padStart(2, '0')}`);
    const usage = usageOf(IMAGE, { pods: 40, namespaces });
    const { status } = decide(gathered({ image: cachedImage(IMAGE, { status: COPIED }), usage }));
    expect(status?.usedBy).toEqual({ pods: 40, namespaces: namespaces.slice(0, 16) });
    expect(status?.lastUsedTime).toBe('2026-11-21T03:00:00Z');
  });

  it('gets the pull secrets that further pods bring', () => {
    const spec = { tenant: 'team-a', pullSecrets: ['old'] };
    const usage = usageOf('ghcr.io/acme/app:7', { tenant: 'team-a', pullSecrets: ['new', 'old'] });
    const decision = decide(gathered({ image: cachedImage('ghcr.io/acme/app:7', { spec }), usage }));
    expect(decision.apply?.pullSecrets).toEqual(['new', 'old']);
    expect(decision.copy).toMatchObject({ request: { pullSecrets: ['new', 'old'] } });
  });
});

describe('an image that nobody uses', () => {
  it('gets no CachedImage', () => {
    expect(decide(gathered())).toEqual({ events: [] });
  });

  it('is not copied any more when only pods wanted it', () => {
    const image = cachedImage(IMAGE, { metadata: MADE_FOR_PODS, status: { usedBy: { pods: 3 } } });
    const copy: CopyState = { phase: 'running', request: copyRequest(IMAGE) };
    const decision = decide(gathered({ image, copy }));
    expect(decision.copy).toEqual({ do: 'cancel' });
    expect(ready(decision)).toBe('False Unused');
    expect(decision.status).toMatchObject({ usedBy: { pods: 0 }, lastUsedTime: '2026-11-21T03:00:00Z' });
  });

  it('stays ready when it is complete', () => {
    const image = cachedImage(IMAGE, { metadata: MADE_FOR_PODS, status: COPIED });
    expect(ready(decide(gathered({ image })))).toBe('True Cached');
  });
});

describe('a copy', () => {
  const image = cachedImage(IMAGE);
  const usage = usageOf(IMAGE);
  const request = copyRequest(IMAGE);

  it('shows its progress', () => {
    const progress = { completedBytes: 5, totalBytes: 10 };
    const decision = decide(gathered({ image, usage, copy: { phase: 'running', request, progress } }));
    expect(ready(decision)).toBe('False Copying');
    expect(decision.status?.progress).toEqual(progress);
  });

  it('makes the image ready when it is done, and says so once', () => {
    const result = { digest: DIGEST, sizeBytes: 73_400_320, platforms: ['linux/amd64'] };
    const copying = cachedImage(IMAGE, { status: { progress: { completedBytes: 5, totalBytes: 10 } } });
    const done: CopyState = { phase: 'done', request, result, at: NOW };
    const decision = decide(gathered({ image: copying, usage, copy: done }));
    expect(decision).toMatchObject({ copy: { do: 'forget' }, status: COPIED });
    expect(decision.status?.progress).toBeUndefined();
    expect([ready(decision), upstream(decision)]).toEqual(['True Cached', 'True Available']);
    expect(decision.events).toEqual([
      { type: 'Normal', reason: 'Cached', message: 'complete for linux/amd64' },
    ]);
    const settled = { ...copying, status: decision.status };
    expect(decide(gathered({ image: settled, usage }))).toMatchObject({
      events: [],
      status: decision.status,
    });
  });

  it('says which platforms the image has nothing for', () => {
    const result = { digest: DIGEST, sizeBytes: 1, platforms: ['linux/amd64'] };
    const both = copyRequest(IMAGE, { platforms: ['linux/amd64', 'linux/s390x'] });
    const decision = decide(
      gathered({ image, usage, copy: { phase: 'done', request: both, result, at: NOW } }),
    );
    expect(findCondition(decision.status?.conditions, 'Ready')?.message).toBe(
      'complete for linux/amd64; the image has nothing for linux/s390x',
    );
  });

  it('that failed shows why, and is tried again when its time has come', () => {
    const failed: CopyState = { phase: 'failed', request, failure: jobFailure() };
    const decision = decide(gathered({ image, usage, copy: failed }));
    expect([ready(decision), upstream(decision)]).toEqual(['False NotFound', 'False NotFound']);
    expect(decision).toMatchObject({ againInMs: 9_000, events: [{ type: 'Warning', reason: 'NotFound' }] });
    expect(decision.copy).toBeUndefined();
    expect(decide(gathered({ image, usage, copy: failed, now: NOW + 9_000 })).copy).toMatchObject({
      do: 'start',
    });
  });

  it('that failed is tried again at once with secrets that were not tried', () => {
    const failed: CopyState = { phase: 'failed', request, failure: jobFailure({ reason: 'Unauthorized' }) };
    const spec = { tenant: 'team-a', pullSecrets: ['fresh'] };
    expect(decide(gathered({ image: cachedImage(IMAGE, { spec }), usage, copy: failed })).copy).toMatchObject(
      {
        do: 'start',
      },
    );
  });

  it('that is tried again keeps showing why the last one failed until it gets further', () => {
    const failure = jobFailure();
    const again = decide(gathered({ image, usage, copy: { phase: 'running', request, failure } }));
    expect(ready(again)).toBe('False NotFound');
    const progress = { completedBytes: 1, totalBytes: 10 };
    const further = decide(
      gathered({ image, usage, copy: { phase: 'running', request, failure, progress } }),
    );
    expect(ready(further)).toBe('False Copying');
  });

  it('that failed for a reason of our own says nothing of the upstream', () => {
    const failure = jobFailure({ reason: 'StoreUnavailable' });
    const decision = decide(gathered({ image, usage, copy: { phase: 'failed', request, failure } }));
    expect([ready(decision), upstream(decision)]).toEqual(['False StoreUnavailable', 'Unknown Unknown']);
  });

  it('is made again when a node brings a new platform, and not for one that the image was asked for already', () => {
    const complete = cachedImage(IMAGE, {
      status: { ...COPIED, requestedPlatforms: ['linux/amd64', 'linux/s390x'] },
    });
    const nodes = (...nodePlatforms: string[]): Decision =>
      decide(gathered({ image: complete, usage, nodePlatforms }));
    expect(nodes('linux/amd64', 'linux/s390x').copy).toBeUndefined();
    expect(nodes('linux/amd64', 'linux/arm64').copy).toMatchObject({ do: 'start' });
  });
});

describe('a CachedImage', () => {
  it('whose image cannot be parsed says what is wrong with it', () => {
    const image = { ...cachedImage(IMAGE), spec: { image: 'NGINX' } };
    const decision = decide(gathered({ image }));
    expect(ready(decision)).toBe('False Invalid');
    expect(decision.copy).toBeUndefined();
  });

  it('waits until a node has told its platform', () => {
    const decision = decide(gathered({ image: cachedImage(IMAGE), nodePlatforms: [] }));
    expect(ready(decision)).toBe('False Pending');
    expect(decision.copy).toBeUndefined();
  });

  it('always says why it is ready or not, in a known word, and is never written twice for the same', () => {
    const request = copyRequest(IMAGE);
    const failure = jobFailure();
    const result = { digest: DIGEST, sizeBytes: 1, platforms: ['linux/amd64'] };
    const situations = fc.record({
      made: fc.constantFrom({}, MADE_FOR_PODS),
      status: fc.constantFrom(undefined, {}, COPIED, { progress: { completedBytes: 1, totalBytes: 2 } }),
      pods: fc.constantFrom(0, 1, 7),
      nodePlatforms: fc.subarray(['linux/amd64', 'linux/arm64']),
      copy: fc.constantFrom<CopyState>(
        { phase: 'idle' },
        { phase: 'queued', request },
        { phase: 'queued', request, failure },
        { phase: 'running', request, progress: { completedBytes: 3, totalBytes: 4 } },
        { phase: 'failed', request, failure },
        { phase: 'done', request, result, at: NOW },
      ),
      laterMs: fc.constantFrom(0, 60_000),
    });
    fc.assert(
      fc.property(situations, ({ made, status, pods, nodePlatforms, copy, laterMs }) => {
        const image = cachedImage(IMAGE, { metadata: made, ...(status && { status }) });
        const input: Gathered = gathered({
          image,
          ...(pods > 0 && { usage: usageOf(IMAGE, { pods }) }),
          nodePlatforms,
          copy,
          now: NOW + laterMs,
        });
        const decision = decide(input);
        const condition = findCondition(decision.status?.conditions, 'Ready');
        expect(READY_REASONS).toContain(condition?.reason);
        expect(condition?.message).not.toBe('');
        expect(condition?.status).toBe(condition?.reason === 'Cached' ? 'True' : 'False');
        const again = decide({ ...input, image: { ...image, status: decision.status } });
        expect(again.status).toEqual(decision.status);
        expect(again.events).toEqual([]);
      }),
    );
  });
});
