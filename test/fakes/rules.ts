/** The administrator's rules as the chart writes them with its default values. */
import type { Rules } from '../../api/rules.ts';

export const RULES: Rules = {
  mode: 'optIn',
  publicRepositories: ['docker.io/library/*', 'registry.k8s.io/*'],
  include: { images: ['*'], namespaces: ['*'] },
  exclude: { images: [], namespaces: ['kube-system', 'larder'] },
  proxyNodeSelector: { 'kubernetes.io/os': 'linux' },
  nodesWithoutProxy: [{ type: 'virtual-kubelet' }],
  minReadyProxiesPercent: 50,
};
