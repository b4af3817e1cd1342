/** Where an image stands with its content, and what follows for its copy: pure. */
import type { CopyState } from '../jobs/job-state.ts';
import { type Candidate, type CopyRule, ruleFor, type CopyRuleName, isComplete } from './copy-rules.ts';
import { type Decision, type Gathered, PRIORITY } from './decision.ts';
import type { Situation } from './status.ts';

export type Consequence = Pick<Decision, 'copy' | 'tasks' | 'againInMs'>;

export function assess(candidate: Candidate): [Situation, Consequence] {
  const rule = ruleFor(candidate);
  return [situationOf(candidate, rule.name), consequenceOf(candidate, rule)];
}

function situationOf(candidate: Candidate, rule: CopyRuleName): Situation {
  const { copy, lifeRules } = candidate.gathered;
  if (copy.phase === 'done') return { is: 'copied', ...copy };
  const isFailing = copy.phase === 'failed' && FAILING.includes(rule);
  if (rule === 'NoPlatforms') return { is: 'noPlatforms' };
  if (isComplete(candidate)) return isFailing ? { is: 'stale', failure: copy.failure } : { is: 'complete' };
  if (rule === 'Excluded')
    return { is: 'excluded', ...(lifeRules.policy === undefined ? {} : { policy: lifeRules.policy }) };
  if (rule === 'Unused') return { is: 'unused' };
  if (copy.phase === 'queued' || copy.phase === 'running') return { is: 'copying', copy };
  return isFailing ? { is: 'failed', failure: copy.failure } : { is: 'pending' };
}

/** The rules after which the status says why the last copy failed. */
const FAILING: readonly CopyRuleName[] = ['OrderChanged', 'RetryDue', 'RetryLater'];

function consequenceOf({ gathered, request }: Candidate, { then, because }: CopyRule): Consequence {
  const { copy, now } = gathered;
  switch (then) {
    case 'takeResult':
      return { copy: { do: 'forget' } };
    case 'stop':
      return stopCopying(copy);
    case 'wait':
      return {};
    case 'retryLater':
      return copy.phase === 'failed' ? { againInMs: copy.failure.retryAt - now } : {};
    case 'verify':
      return { tasks: [{ task: 'verify', request }] };
    case 'copy':
      return { copy: { do: 'start', request, priority: priorityFor(gathered), because } };
  }
}

function priorityFor({ usage }: Gathered): (typeof PRIORITY)[keyof typeof PRIORITY] {
  if (usage === undefined) return PRIORITY.preheat;
  return usage.waitingPods > 0 ? PRIORITY.podsWait : PRIORITY.inUse;
}

export function stopCopying(copy: CopyState): Consequence {
  return copy.phase === 'idle' ? {} : { copy: { do: 'cancel' } };
}
