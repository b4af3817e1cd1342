/** On which nodes there are proxies and which of them are ready, followed Pod by Pod. */
import { CAPABILITIES_LABEL } from '../api/names.ts';
import {
  type KubeObject,
  type ObjectMeta,
  type Pod,
  pods,
  type Resource,
} from '../platform/kube/resource.ts';
import type { ProxyCount } from './gate.ts';

/** A Pod of the proxy DaemonSet. */
export interface ProxyRecord extends KubeObject {
  readonly metadata: ObjectMeta;
  /** Absent until the Pod is scheduled. */
  readonly node?: string;
  readonly ready: boolean;
  /** Whether its release knows that names of private images carry capabilities. */
  readonly knowsCapabilities: boolean;
}

export const proxyRecords: Resource<ProxyRecord> = {
  ...pods,
  decode: (raw) => {
    const { metadata, spec, status } = raw as Pod;
    const { name, namespace, resourceVersion, deletionTimestamp, labels } = metadata ?? {};
    const ready =
      status?.conditions?.some((each) => each.type === 'Ready' && each.status === 'True') ?? false;
    return {
      metadata: {
        ...(name && { name }),
        ...(namespace && { namespace }),
        ...(resourceVersion && { resourceVersion }),
      },
      ...(spec?.nodeName ? { node: spec.nodeName } : {}),
      ready: ready && deletionTimestamp === undefined,
      knowsCapabilities: labels?.[CAPABILITIES_LABEL] !== undefined,
    };
  },
};

/** While a new proxy replaces a node's old one, there are two for a moment; one that is ready is enough. */
export class ProxyReadiness {
  readonly #records = new Map<string, ProxyRecord>();
  readonly #readyOn = new Map<string, number>();
  readonly #allOn = new Map<string, number>();
  /** Proxies that know no capabilities. */
  #old = 0;

  /** Takes in that a proxy has changed; `before` is undefined for a new one, `after` for one that is gone. */
  change(before: ProxyRecord | undefined, after: ProxyRecord | undefined): void {
    const name = (after ?? before)?.metadata.name ?? '';
    this.#count(this.#records.get(name), -1);
    this.#count(after, 1);
    if (after) this.#records.set(name, after);
    else this.#records.delete(name);
  }

  /** Counts nodes, not Pods. */
  counts(): ProxyCount {
    return { all: this.#allOn.size, ready: this.#readyOn.size };
  }

  /** Of all proxies, ready or not: a Pod that is admitted now may be pulled through any of them. */
  allKnowCapabilities(): boolean {
    return this.#old === 0;
  }

  readonly works = (node: string): boolean => this.#readyOn.has(node);

  #count(record: ProxyRecord | undefined, by: 1 | -1): void {
    if (record?.knowsCapabilities === false) this.#old += by;
    if (record?.node === undefined) return;
    add(this.#allOn, record.node, by);
    if (record.ready) add(this.#readyOn, record.node, by);
  }
}

function add(counts: Map<string, number>, key: string, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
