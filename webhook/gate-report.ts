/** Reports when the health gate opens or closes: in the log, and as an Event on the webhook's Deployment. */
import type { EventRecorder } from '../platform/kube/events.ts';
import type { Logger } from '../platform/log.ts';
import type { Gate } from './gate.ts';

export function gateReport(options: {
  readonly events: Pick<EventRecorder, 'record'>;
  readonly namespace: string;
  /** Name of the webhook's Deployment. */
  readonly name: string;
  readonly log: Logger;
}): (gate: Gate) => void {
  const { events, namespace, name, log } = options;
  const regarding = { apiVersion: 'apps/v1', kind: 'Deployment', namespace, name };
  return (gate) => {
    if (gate.open) {
      log.info('gate open, images are rewritten');
      const note = 'Enough proxies are ready: images of new pods are sent through the cache.';
      events.record({ regarding, type: 'Normal', reason: 'GateOpen', action: 'Rewrite', note });
    } else {
      log.warn('gate closed, pods are admitted unchanged', { reason: gate.message });
      const note = `New pods are admitted unchanged: ${gate.message}.`;
      events.record({ regarding, type: 'Warning', reason: 'GateClosed', action: 'Rewrite', note });
    }
  };
}
