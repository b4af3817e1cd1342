/** On which nodes a proxy is ready. */
import { CAPABILITIES_LABEL } from '../../api/names.ts';
import type { ObjectCache } from '../../platform/kube/cache.ts';
import type { KubeObject, Pod } from '../../platform/kube/resource.ts';

const COMPONENT_LABEL = 'app.kubernetes.io/component';
const NAME_LABEL = 'app.kubernetes.io/name';
const READY_PROXIES = 'readyProxies';
const TENANT_PROXIES = 'tenantProxies';

/** A proxy that is ready. */
export interface ReadyProxy {
  readonly node: string;
  /**
   * Whether it can serve the names of private images. A proxy of a release before there were capabilities takes
   * `team-a.tenant.<capability>` for the host of a public registry.
   */
  readonly servesTenants: boolean;
}

/** Undefined for a pod that is no proxy, or not ready. */
export function viewReadyProxy({ metadata, spec, status }: Pod): ReadyProxy | undefined {
  const { labels, deletionTimestamp } = metadata ?? {};
  if (labels?.[COMPONENT_LABEL] !== 'proxy' || labels[NAME_LABEL] !== 'larder') return undefined;
  const ready = status?.conditions?.some(
    (condition) => condition.type === 'Ready' && condition.status === 'True',
  );
  const node = spec?.nodeName;
  if (ready !== true || deletionTimestamp !== undefined || node === undefined) return undefined;
  return { node, servesTenants: labels[CAPABILITIES_LABEL] !== undefined };
}

interface ProxyRecord extends KubeObject {
  readonly proxy?: ReadyProxy;
}

export interface ReadyProxies {
  /** Whether a proxy is ready on a node. */
  readonly proxyWorks: (node: string) => boolean;
  /** Whether a proxy is ready there that can serve the names of private images. */
  readonly proxyServesTenants: (node: string) => boolean;
}

/**
 * Call it before the watch of pods starts.
 * @param namespace of the release: pods elsewhere may carry the same labels
 */
export function readyProxies<T extends ProxyRecord>(pods: ObjectCache<T>, namespace: string): ReadyProxies {
  const ours = ({ metadata, proxy }: T): ReadyProxy | undefined =>
    metadata?.namespace === namespace ? proxy : undefined;
  const index = (name: string, counts: (proxy: ReadyProxy) => boolean) => {
    pods.addIndex(name, (pod) => {
      const proxy = ours(pod);
      return proxy !== undefined && counts(proxy) ? [proxy.node] : [];
    });
    return (node: string): boolean => pods.byIndex(name, node).length > 0;
  };
  return {
    proxyWorks: index(READY_PROXIES, () => true),
    proxyServesTenants: index(TENANT_PROXIES, ({ servesTenants }) => servesTenants),
  };
}
