/**
 * Over random pods, clocks and states of store and upstream: nothing in use goes, and everything says why it
 * is as it is.
 */
import fc from 'fast-check';
import type { CachedImage } from '../../api/cached-image.ts';
import { CACHED_IMAGE_FINALIZER } from '../../api/names.ts';
import { READY_REASONS } from '../../api/reasons.ts';
import { findCondition } from '../../platform/kube/conditions.ts';
import { parseDigest } from '../../registry/core/digest.ts';
import { decide } from './decide.ts';
import type { Decision, Gathered } from './decision.ts';
import type { CopyState, JobState } from '../jobs/job-state.ts';
import type { CopyRequest, RemoveRequest, RemoveResult, VerifyResult } from '../jobs/orders.ts';
import type { CheckAnswer } from '../../api/copier-api.ts';
import {
  cachedImage,
  COPIED,
  copyRequest,
  DAY,
  DIGEST,
  gathered,
  jobFailure,
  LIFE,
  NOW,
  REMOVAL,
  usageOf,
} from '../test-objects.ts';

const IMAGE = 'docker.io/library/nginx:1.27';
const OTHER = `sha256:${'b'.repeat(64)}`;
const HOUR = DAY / 24;

const at = (ms: number): string => new Date(NOW + ms).toISOString();
const moment = fc.integer({ min: -90 * DAY, max: 0 }).map(at);
const result = { digest: DIGEST, sizeBytes: 1, platforms: ['linux/amd64'] };
const request = copyRequest(IMAGE);

const status = fc.record(
  {
    digest: fc.constant(DIGEST),
    upstreamDigest: fc.constantFrom(DIGEST, OTHER),
    requestedPlatforms: fc.constantFrom(['linux/amd64'], ['linux/amd64', 'linux/arm64']),
    platforms: fc.constant(['linux/amd64']),
    lastUsedTime: moment,
    lastCheckedTime: moment,
    expirationTime: moment,
    usedBy: fc.record({ pods: fc.integer({ min: 0, max: 3 }) }),
    previousDigests: fc.array(fc.record({ digest: fc.constantFrom(OTHER, DIGEST), replacedTime: moment }), {
      maxLength: 2,
    }),
  },
  { requiredKeys: [] },
);

function task<Q, R>(request: Q, results: fc.Arbitrary<R>): fc.Arbitrary<JobState<Q, R>> {
  return fc.oneof(
    fc.constant({ phase: 'idle' as const }),
    fc.constant({ phase: 'idle' as const, lastAt: NOW - 2 * HOUR }),
    fc.constantFrom('queued' as const, 'running' as const).map((phase) => ({ phase, request })),
    results.map((outcome) => ({ phase: 'done' as const, request, result: outcome, at: NOW })),
    fc
      .constantFrom(-1, 1)
      .map((ms) => ({ phase: 'failed' as const, request, failure: jobFailure({ retryAt: NOW + ms }) })),
  );
}

const unavailable = fc.constantFrom('NotFound', 'Unauthorized', 'RateLimited', 'Unreachable');
const check = task<CopyRequest, CheckAnswer>(
  request,
  fc.oneof(
    fc
      .constantFrom(DIGEST, OTHER)
      .map((digest) => ({ upstream: 'Available' as const, digest: parseDigest(digest) })),
    unavailable.map((reason) => ({ upstream: 'Unavailable' as const, reason, message: 'it does not' })),
  ),
);
const verify = task<CopyRequest, VerifyResult>(
  request,
  fc.constantFrom<VerifyResult>(
    { complete: false, missing: [], requested: ['linux/amd64'] },
    {
      complete: true,
      digest: parseDigest(DIGEST),
      sizeBytes: 1,
      platforms: ['linux/amd64'],
      requested: ['linux/amd64'],
    },
  ),
);
const remove = task<RemoveRequest, RemoveResult>(
  REMOVAL,
  fc.constantFrom({ inUse: true }, { inUse: false }, { inUse: false, previous: OTHER }),
);
const copy = fc.constantFrom<CopyState>(
  { phase: 'idle' },
  { phase: 'queued', request },
  { phase: 'running', request, progress: { completedBytes: 3, totalBytes: 4 } },
  { phase: 'failed', request, failure: jobFailure() },
  { phase: 'done', request, result, at: NOW },
);

const image: fc.Arbitrary<CachedImage> = fc
  .record({
    status: fc.option(status, { nil: undefined }),
    madeForPods: fc.boolean(),
    retain: fc.boolean(),
    created: moment,
    deleted: fc.option(moment, { nil: undefined }),
    guarded: fc.boolean(),
  })
  .map(({ status: known, madeForPods, retain, created, deleted, guarded }) =>
    cachedImage(IMAGE, {
      metadata: {
        creationTimestamp: created,
        ...(deleted === undefined ? {} : { deletionTimestamp: deleted }),
        ...(madeForPods ? { labels: { 'larder.dev/made-for': 'pods' } } : {}),
        ...(guarded ? { finalizers: [CACHED_IMAGE_FINALIZER] } : {}),
      },
      spec: { retain },
      ...(known === undefined ? {} : { status: known }),
    }),
  );

const world: fc.Arbitrary<Gathered> = fc
  .record({
    image,
    pods: fc.constantFrom(0, 0, 1, 7),
    waitingPods: fc.constantFrom(0, 1),
    digests: fc.subarray([DIGEST, OTHER]),
    nodePlatforms: fc.subarray(['linux/amd64', 'linux/arm64']),
    copy,
    check,
    verify,
    remove,
    hasSibling: fc.boolean(),
    pinnedDigests: fc.subarray([OTHER]),
    isCopyingIntoRepository: fc.boolean(),
    suspected: fc.boolean(),
    isEvicted: fc.boolean(),
    cache: fc.boolean(),
    laterMs: fc.constantFrom(0, HOUR, 31 * DAY),
  })
  .map(({ pods, waitingPods, digests, suspected, cache, laterMs, ...rest }) =>
    gathered({
      ...rest,
      lifeRules: { ...LIFE, cache },
      ...(pods > 0 ? { usage: usageOf(IMAGE, { pods, waitingPods, digests }) } : {}),
      ...(suspected ? { suspectedAt: NOW } : {}),
      now: NOW + laterMs,
    }),
  );

function always(holds: (decision: Decision, input: Gathered) => void): void {
  fc.assert(
    fc.property(world, (input) => {
      holds(decide(input), input);
    }),
    { numRuns: 3000 },
  );
}

/** What the store would be told to remove. */
function removed(decision: Decision): readonly string[] {
  return (decision.tasks ?? []).flatMap((each) =>
    each.task === 'remove' ? each.request.targets.map(({ reference }) => reference.digest ?? 'the tag') : [],
  );
}

describe('whatever happens', () => {
  it('an image in use is never chosen for deletion', () => {
    always((decision, { usage }) => {
      if (usage === undefined) return;
      expect(decision.expire).toBeUndefined();
      expect(removed(decision)).not.toContain('the tag');
      for (const digest of usage.digests) expect(removed(decision)).not.toContain(digest);
      if (usage.waitingPods > 0) expect(removed(decision)).toEqual([]);
    });
  });

  it('nothing is removed that another CachedImage stands for, nor while something is copied beside it', () => {
    always((decision, { hasSibling, pinnedDigests, isCopyingIntoRepository }) => {
      if (hasSibling) expect(removed(decision)).not.toContain('the tag');
      for (const digest of pinnedDigests) expect(removed(decision)).not.toContain(digest);
      if (isCopyingIntoRepository) expect(removed(decision)).toEqual([]);
    });
  });

  it('what is served now is never taken for what was served before', () => {
    always((decision, { image: given }) => {
      if (given?.metadata.deletionTimestamp !== undefined) return;
      const serves = decision.status?.digest;
      if (serves !== undefined) expect(removed(decision)).not.toContain(serves);
    });
  });

  it('a retained image does not expire, and none before its time', () => {
    always((decision, { image: given, now }) => {
      if (decision.expire === undefined) return;
      expect(given?.spec.retain).not.toBe(true);
      expect(decision.status?.expirationTime).toBeDefined();
      if (decision.expire === 'Evicted') return;
      expect(Date.parse(decision.status?.expirationTime ?? '')).toBeLessThanOrEqual(now);
    });
  });

  it('a cache that is too full lets nothing go that upstream has lost', () => {
    always((decision) => {
      const upstream = findCondition(decision.status?.conditions, 'UpstreamAvailable');
      const isHeld = decision.status?.digest !== undefined;
      if (decision.expire !== undefined && isHeld) expect(upstream?.reason).not.toBe('NotFound');
    });
  });

  it('nothing is copied that a policy keeps out of the cache', () => {
    always((decision, { lifeRules }) => {
      if (!lifeRules.cache) expect(decision.copy?.do).not.toBe('start');
    });
  });

  it('every image says in a known word why it is Ready or not, and Ready is True only for what is complete', () => {
    always((decision, { image: given }) => {
      if (decision.status === undefined) {
        expect(given?.metadata.deletionTimestamp).toBeDefined();
        return;
      }
      const ready = findCondition(decision.status.conditions, 'Ready');
      expect(READY_REASONS).toContain(ready?.reason);
      expect(ready?.message).not.toBe('');
      if (ready?.status === 'True') expect(decision.status.requestedPlatforms).toBeDefined();
    });
  });

  it('deciding again, once the decision has been carried out, leads to the same status', () => {
    always((decision, input) => {
      const { image: given } = input;
      if (given === undefined || decision.status === undefined) return;
      const settled = Object.fromEntries(
        (decision.settled ?? []).map((name) => [name, { phase: 'idle', lastAt: NOW }]),
      );
      const copyNow =
        decision.copy?.do === 'forget' || decision.copy?.do === 'cancel' ? { copy: { phase: 'idle' } } : {};
      const next = {
        ...input,
        ...settled,
        ...copyNow,
        image: { ...given, status: decision.status },
      } as Gathered;
      const again = decide(next);
      if (again.status === undefined) return;
      expect(again.status.digest).toBe(decision.status.digest);
      expect(again.status.previousDigests ?? []).toEqual(decision.status.previousDigests ?? []);
      expect(again.status.expirationTime).toBe(decision.status.expirationTime);
    });
  });
});

describe('a deletion that cannot be carried out', () => {
  it('is given up at its deadline, with a word about it', () => {
    const metadata = { deletionTimestamp: at(0), finalizers: [CACHED_IMAGE_FINALIZER] };
    const deleting = cachedImage(IMAGE, { metadata, status: COPIED });
    const failed = {
      phase: 'failed',
      request: REMOVAL,
      failure: jobFailure({ retryAt: NOW + HOUR }),
    } as const;
    expect(decide(gathered({ image: deleting, remove: failed })).finalizer).toBeUndefined();
    expect(decide(gathered({ image: deleting, remove: failed, now: NOW + HOUR }))).toMatchObject({
      finalizer: 'remove',
      events: [{ type: 'Warning', reason: 'LeftInStore' }],
    });
  });
});
