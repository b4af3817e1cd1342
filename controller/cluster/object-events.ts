/** Events about the objects that the controller looks after. */
import { subjectOf, type EventRecorder } from '../../platform/kube/events.ts';
import type { KubeObject, Resource } from '../../platform/kube/resource.ts';

/** What an Event says about an object. */
export interface ObjectEvent {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

interface Identity {
  readonly name?: string | undefined;
  readonly uid?: string | undefined;
}

/** Records an Event about an object; never throws. */
export type RecordObjectEvent = (object: { readonly metadata: Identity }, event: ObjectEvent) => void;

/** @param onRecorded called with the reason of every Event */
export function objectEvents(
  events: Pick<EventRecorder, 'record'>,
  resource: Resource<KubeObject>,
  action: string,
  onRecorded?: (reason: string) => void,
): RecordObjectEvent {
  return ({ metadata: { name = '', uid = '' } }, { type, reason, message }) => {
    const regarding = subjectOf(resource, { metadata: { name, uid } });
    events.record({ regarding, type, reason, action, note: message });
    onRecorded?.(reason);
  };
}
