/**
 * What the webhook knows of the cluster, kept up to date by watches: the administrator's rules, the policies
 * and which proxies work.
 */
import { type PolicyRecord, policyRecords } from '../api/policy-records.ts';
import { parseRules, type Rules, RULES_KEY } from '../api/rules.ts';
import { cacheWatch, ObjectCache } from '../platform/kube/cache.ts';
import type { KubeClient } from '../platform/kube/client.ts';
import { ConfigMapValue } from '../platform/kube/config-map-value.ts';
import type { Logger } from '../platform/log.ts';
import type { CapabilityOf } from '../registry/core/cached-name.ts';
import type { Component } from '../platform/run.ts';
import { gateOf, type Gate } from './gate.ts';
import { ProxyReadiness, proxyRecords, type ProxyRecord } from './proxy-readiness.ts';
import type { Capabilities } from './image-decision.ts';
import type { ClusterState } from './rewrite.ts';

export interface ClusterViewOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  /** Name of the rules' ConfigMap. */
  readonly rulesName: string;
  /** Selects the proxy Pods. */
  readonly proxySelector: string;
  readonly proxyAddress: string;
  readonly capabilityOf: CapabilityOf;
  readonly log: Logger;
  /** Called whenever the gate opens or closes. */
  readonly onGate: (gate: Gate) => void;
}

const UNKNOWN: Gate = { open: false, message: 'the rules and the proxies are not known yet' };

/** While the API server is away, the last known state stands. */
export class ClusterView {
  readonly components: readonly Component[];
  readonly #options: ClusterViewOptions;
  readonly #proxyPods = new ObjectCache<ProxyRecord>();
  readonly #policies = new ObjectCache<PolicyRecord>();
  readonly #proxies = new ProxyReadiness();
  readonly #rules: ConfigMapValue<Rules>;
  #gate: Gate = UNKNOWN;

  constructor(options: ClusterViewOptions) {
    this.#options = options;
    const { client, namespace, rulesName, proxySelector, log } = options;
    this.#rules = new ConfigMapValue({
      client,
      name: rulesName,
      namespace,
      key: RULES_KEY,
      parse: parseRules,
      log,
    });
    this.#rules.onChange(() => {
      this.#updateGate();
    });
    this.#proxyPods.onChange(({ before, after }) => {
      this.#proxies.change(before, after);
      this.#updateGate();
    });
    this.components = [
      this.#rules.component,
      cacheWatch(client, proxyRecords, this.#proxyPods, { namespace, labelSelector: proxySelector, log }),
      cacheWatch(client, policyRecords, this.#policies, { log }),
    ];
  }

  /** Undefined until the rules have been read. */
  readonly clusterState = (): ClusterState | undefined => {
    const rules = this.#rules.get();
    if (!rules) return undefined;
    const { proxyAddress } = this.#options;
    const policies = [...this.#policies.values()].map(({ policy }) => policy);
    const { works: hasProxy } = this.#proxies;
    return { proxyAddress, capabilities: this.#capabilities(), rules, policies, gate: this.#gate, hasProxy };
  };

  #capabilities(): Capabilities {
    // A proxy that knows no capabilities takes such a name for a public registry's, and asks the world for it.
    if (!this.#proxies.allKnowCapabilities())
      return { missing: 'a proxy of an older release still runs, which could not serve private images' };
    return { of: this.#options.capabilityOf };
  }

  /** What readiness still waits for. */
  readonly missing = (): string | undefined => {
    if (!this.#rules.get()) return 'the rules have not been read yet';
    return this.#proxyPods.isSynced ? undefined : 'the proxies are not known yet';
  };

  readonly isGateOpen = (): boolean => this.#gate.open;

  #updateGate(): void {
    const former = this.#gate;
    const rules = this.#rules.get();
    this.#gate = rules ? gateOf(this.#proxies.counts(), rules.minReadyProxiesPercent) : UNKNOWN;
    if (former.open !== this.#gate.open) this.#options.onGate(this.#gate);
  }
}
