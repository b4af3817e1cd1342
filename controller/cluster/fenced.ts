/**
 * Writes to the Kubernetes API only while we lead: a leader that was frozen and wakes up must not overwrite
 * its successor.
 */
import type { KubeClient } from '../../platform/kube/client.ts';

export type Writer = Pick<KubeClient, 'create' | 'replace' | 'patch' | 'delete'>;

/** @param assertLeader throws unless the lease is ours at this very moment */
export function fenced(client: Writer, assertLeader: () => void): Writer {
  return {
    create: async (...call) => {
      assertLeader();
      return client.create(...call);
    },
    replace: async (...call) => {
      assertLeader();
      return client.replace(...call);
    },
    patch: async (...call) => {
      assertLeader();
      return client.patch(...call);
    },
    delete: async (...call) => {
      assertLeader();
      await client.delete(...call);
    },
  };
}
