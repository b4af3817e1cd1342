/** Remembers by key (an upstream, a peer) that calls fail, so that the next ones do not wait in vain. */
import { LRUCache } from 'lru-cache';

export interface CircuitBreakerPolicy {
  /** Failures in a row that open the circuit. */
  readonly failureThreshold: number;
  /** How long the circuit stays open the first time, in milliseconds; each failed probe doubles it. */
  readonly openMs: number;
  readonly maxOpenMs: number;
  /** A probe that has not reported after this long counts as failed, in milliseconds. */
  readonly probeMs: number;
  /** How many keys are remembered, default 1,000; the least recently used goes first. */
  readonly maxKeys?: number;
}

/** `allow`: call. `probe`: call, as the only one that may. `deny`: do not call. */
export type CircuitDecision = 'allow' | 'probe' | 'deny';

interface Circuit {
  failures: number;
  /** How many times in a row it has opened. */
  opened: number;
  /** 0 while closed. */
  openUntil: number;
  /** Whether a probe is under way. */
  isProbed: boolean;
}

/** The caller gives all times, in milliseconds of one monotonic clock. */
export class CircuitBreaker {
  readonly #policy: CircuitBreakerPolicy;
  readonly #circuits: LRUCache<string, Circuit>;

  constructor(policy: CircuitBreakerPolicy) {
    this.#policy = policy;
    this.#circuits = new LRUCache({ max: policy.maxKeys ?? 1_000 });
  }

  /** Asks whether to call. After `allow` or `probe`, report the outcome. */
  request(key: string, now: number): CircuitDecision {
    const circuit = this.#circuits.get(key);
    if (!circuit || circuit.opened === 0) return 'allow';
    if (now < circuit.openUntil) return 'deny';
    // One caller probes; the others are denied until it has reported or its time is up.
    circuit.openUntil = now + this.#policy.probeMs;
    circuit.isProbed = true;
    return 'probe';
  }

  /**
   * Whether a probe is under way. A denied caller may then call all the same, if going elsewhere costs more
   * than failing with the probe.
   */
  isProbed(key: string, now: number): boolean {
    return this.isOpen(key, now) && this.#circuits.get(key)?.isProbed === true;
  }

  /** Whether calls are denied at the moment. Unlike {@link request}, this claims no probe. */
  isOpen(key: string, now: number): boolean {
    const circuit = this.#circuits.get(key);
    return circuit !== undefined && circuit.opened > 0 && now < circuit.openUntil;
  }

  succeeded(key: string): void {
    this.#circuits.delete(key);
  }

  failed(key: string, now: number): void {
    const circuit = this.#circuits.get(key) ?? { failures: 0, opened: 0, openUntil: 0, isProbed: false };
    // Calls that were made together fail together: that is one failure, not several in a row.
    if (!circuit.isProbed && this.isOpen(key, now)) return;
    circuit.isProbed = false;
    circuit.failures += 1;
    if (circuit.opened > 0 || circuit.failures >= this.#policy.failureThreshold) {
      circuit.openUntil =
        now + Math.min(this.#policy.maxOpenMs, this.#policy.openMs * 2 ** Math.min(circuit.opened, 30));
      circuit.opened += 1;
    }
    this.#circuits.set(key, circuit);
  }
}
