/** On which nodes a proxy is ready. */
import type { ObjectCache } from '../../platform/kube/cache.ts';
import type { KubeObject, Pod } from '../../platform/kube/resource.ts';

const COMPONENT_LABEL = 'app.kubernetes.io/component';
const NAME_LABEL = 'app.kubernetes.io/name';
const READY_PROXIES = 'readyProxies';

/** For a proxy that is ready: its node. Undefined for every other pod. */
export function readyProxyOn({ metadata, spec, status }: Pod): string | undefined {
  const { labels } = metadata ?? {};
  if (labels?.[COMPONENT_LABEL] !== 'proxy' || labels[NAME_LABEL] !== 'larder') return undefined;
  const ready = status?.conditions?.some(
    (condition) => condition.type === 'Ready' && condition.status === 'True',
  );
  return ready === true && metadata?.deletionTimestamp === undefined ? spec?.nodeName : undefined;
}

/** A pod, with its node if it is a proxy that is ready. */
interface ProxyRecord extends KubeObject {
  readonly proxyOn?: string;
}

/**
 * Call it before the watch of pods starts.
 * @param namespace of the release: pods elsewhere may carry the same labels
 */
export function readyProxies<T extends ProxyRecord>(
  pods: ObjectCache<T>,
  namespace: string,
): (node: string) => boolean {
  pods.addIndex(READY_PROXIES, ({ metadata, proxyOn }) =>
    proxyOn === undefined || metadata?.namespace !== namespace ? [] : [proxyOn],
  );
  return (node) => pods.byIndex(READY_PROXIES, node).length > 0;
}
