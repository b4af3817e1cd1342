/** Writes the status of each CachePolicy: how many images it applies to, and whether it can be read. */
import { isDeepStrictEqual } from 'node:util';
import type { ObjectCache } from '../../platform/kube/cache.ts';
import type { Clock } from '../../platform/clock.ts';
import { findCondition, setCondition, type Condition } from '../../platform/kube/conditions.ts';
import { isConflict, isNotFound } from '../../platform/kube/error.ts';
import { apiVersionOf } from '../../platform/kube/resource.ts';
import type { Logger } from '../../platform/log.ts';
import { loop, type Component } from '../../platform/run.ts';
import type { Writer } from '../cluster/fenced.ts';
import type { RecordObjectEvent } from '../cluster/object-events.ts';
import { type ImageRecord, watchedPolicies, type WatchedPolicy } from '../cluster/resources.ts';

/** Changes come in bursts; each look takes in all changes of the last seconds. */
const EVERY_MS = 3_000;
const FIELD_MANAGER = 'larder-controller';

export interface PolicyStatusOptions {
  readonly policies: ObjectCache<WatchedPolicy>;
  readonly images: ObjectCache<ImageRecord>;
  readonly writer: Writer;
  readonly recordEvent: RecordObjectEvent;
  readonly synced: (signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface PolicyStatus {
  readonly observedGeneration: number | undefined;
  readonly matchedImages: number;
  readonly conditions: readonly Condition[];
}

/** @param matchedImages how many CachedImages the policy applies to */
export function policyStatus(record: WatchedPolicy, matchedImages: number, now: number): PolicyStatus {
  const observedGeneration = record.metadata.generation;
  const applied = { type: 'Applied', ...application(record, matchedImages), observedGeneration };
  const conditions = setCondition(record.conditions, applied, now);
  return { observedGeneration, matchedImages, conditions: [...conditions] };
}

function application(
  { problem }: WatchedPolicy,
  matchedImages: number,
): Pick<Condition, 'status' | 'reason' | 'message'> {
  if (problem !== undefined) return { status: 'False', reason: 'Invalid', message: problem };
  return matchedImages > 0
    ? { status: 'True', reason: 'Matched', message: `applies to ${matchedImages} images` }
    : {
        status: 'False',
        reason: 'MatchesNothing',
        message: 'no image is matched, or a more specific policy applies to each',
      };
}

export function policyStatuses(options: PolicyStatusOptions): Component {
  const { clock } = options;
  return loop('policy status', async (signal) => {
    await options.synced(signal);
    for (;;) {
      await clock.sleep(EVERY_MS, signal);
      await writeAll(options, signal);
    }
  });
}

async function writeAll(options: PolicyStatusOptions, signal: AbortSignal): Promise<void> {
  const { policies, images, clock, log } = options;
  if (policies.size === 0) return;
  const counts = new Map<string, number>();
  for (const { image } of images.values()) {
    const { policy } = image.status ?? {};
    if (policy !== undefined) counts.set(policy, (counts.get(policy) ?? 0) + 1);
  }
  for (const record of [...policies.values()]) {
    const name = record.metadata.name ?? '';
    const status = policyStatus(record, counts.get(name) ?? 0, clock.now());
    try {
      await write(options, record, status, signal);
    } catch (error) {
      signal.throwIfAborted();
      // On a conflict the watch brings what somebody else wrote, and the next look takes it in.
      if (!isConflict(error) && !isNotFound(error))
        log.warn('the status of a policy cannot be written', { policy: name, error });
    }
  }
}

async function write(
  { policies, writer, recordEvent }: PolicyStatusOptions,
  record: WatchedPolicy,
  status: PolicyStatus,
  signal: AbortSignal,
): Promise<void> {
  if (
    status.matchedImages === record.matchedImages &&
    isDeepStrictEqual(status.conditions, record.conditions)
  )
    return;
  const { name = '', resourceVersion } = record.metadata;
  const body = {
    apiVersion: apiVersionOf(watchedPolicies),
    kind: watchedPolicies.kind,
    metadata: { name, resourceVersion },
    status,
  };
  const patch = { type: 'apply', body, fieldManager: FIELD_MANAGER, force: true } as const;
  const written = await writer.patch(watchedPolicies, { name }, patch, { subresource: 'status', signal });
  policies.apply({ type: 'upsert', object: written });
  const [before, after] = [record.conditions, status.conditions].map((conditions) =>
    findCondition(conditions, 'Applied'),
  );
  if (after === undefined || after.reason === before?.reason) return;
  const { reason, message } = after;
  recordEvent(record, { type: after.status === 'True' ? 'Normal' : 'Warning', reason, message });
}
