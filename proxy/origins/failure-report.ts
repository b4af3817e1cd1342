/** What the log and the metrics are told when an origin does not serve. */
import type { Logger } from '../../platform/log.ts';
import type { Pull } from './origin.ts';
import type { Failure } from './plan.ts';

/** @param count counts the failure */
export function failureReport(
  log: Logger,
  count: (failure: Failure) => void,
): (pull: Pull, failure: Failure) => void {
  return (pull, failure) => {
    count(failure);
    const { verdict } = failure;
    const level = verdict === 'absent' || verdict === 'refused' ? 'debug' : 'info';
    log[level]('origin did not serve', { requestId: pull.id, ...failure });
  };
}
