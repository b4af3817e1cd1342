/** Writing to the Kubernetes API only while we lead: one that was frozen and wakes up must not write over its successor. */
import type { KubeClient } from '../../platform/kube/client.ts';

export type Writer = Pick<KubeClient, 'create' | 'replace' | 'patch' | 'delete'>;

/** @param assertLeader throws when the lease is not ours at this very moment */
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
