/** Events about the objects that the controller looks after. */
import { subjectOf, type EventRecorder } from '../../platform/kube/events.ts';
import type { KubeObject, Resource } from '../../platform/kube/resource.ts';

/** What is said about an object by an Event. */
export interface ObjectEvent {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

interface Identity {
  readonly name?: string | undefined;
  readonly uid?: string | undefined;
}

/** Events about objects of a type; never throws. */
export function tellerOf(
  events: EventRecorder,
  resource: Resource<KubeObject>,
  action: string,
): (object: { readonly metadata: Identity }, event: ObjectEvent) => void {
  return ({ metadata: { name = '', uid = '' } }, { type, reason, message }) => {
    events.record({
      regarding: subjectOf(resource, { metadata: { name, uid } }),
      type,
      reason,
      action,
      note: message,
    });
  };
}
