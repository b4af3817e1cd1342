/** Status conditions (meta/v1 Condition). The time of transition changes only when the status does. */
import { timestamp } from './time.ts';

export type ConditionStatus = 'True' | 'False' | 'Unknown';

export interface Condition {
  readonly type: string;
  readonly status: ConditionStatus;
  /** A stable word in CamelCase. */
  readonly reason: string;
  readonly message: string;
  /** RFC 3339. */
  readonly lastTransitionTime: string;
  readonly observedGeneration?: number | undefined;
}

/**
 * The conditions with one of them set; the given list itself when nothing changes. `now` is milliseconds
 * since the epoch.
 */
export function setCondition(
  conditions: readonly Condition[],
  next: Omit<Condition, 'lastTransitionTime'>,
  now: number,
): readonly Condition[] {
  const former = conditions.find((condition) => condition.type === next.type);
  if (former && same(former, next)) return conditions;
  const lastTransitionTime = former?.status === next.status ? former.lastTransitionTime : timestamp(now);
  const condition = { ...next, lastTransitionTime };
  return former
    ? conditions.map((other) => (other === former ? condition : other))
    : [...conditions, condition];
}

export function findCondition(
  conditions: readonly Condition[] | undefined,
  type: string,
): Condition | undefined {
  return conditions?.find((condition) => condition.type === type);
}

export function isTrue(conditions: readonly Condition[] | undefined, type: string): boolean {
  return findCondition(conditions, type)?.status === 'True';
}

function same(a: Omit<Condition, 'lastTransitionTime'>, b: Omit<Condition, 'lastTransitionTime'>): boolean {
  return (
    a.status === b.status &&
    a.reason === b.reason &&
    a.message === b.message &&
    a.observedGeneration === b.observedGeneration
  );
}
