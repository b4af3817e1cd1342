/** Remembers per key (an upstream, a peer) that calls fail, so that the next ones do not wait for it again. */
import { LRUCache } from 'lru-cache';

export interface CircuitBreakerPolicy {
  /** Failures in a row that open the circuit. */
  readonly failureThreshold: number;
  /** How long it stays open the first time; each failed probe doubles it. */
  readonly openMs: number;
  readonly maxOpenMs: number;
  /** A probe that never reports back is taken for failed after this long. */
  readonly probeMs: number;
  /** Keys remembered; the one that was used longest ago goes first. */
  readonly maxKeys?: number;
}

/** `allow`: call. `probe`: call, and the only one that may. `deny`: do not call. */
export type CircuitDecision = 'allow' | 'probe' | 'deny';

interface Circuit {
  failures: number;
  /** Times it opened in a row. */
  opened: number;
  /** 0 while closed. */
  openUntil: number;
  /** Somebody finds out whether it can be closed. */
  isProbed: boolean;
}

/** All times are milliseconds of one monotonic clock, given by the caller. */
export class CircuitBreaker {
  readonly #policy: CircuitBreakerPolicy;
  readonly #circuits: LRUCache<string, Circuit>;

  constructor(policy: CircuitBreakerPolicy) {
    this.#policy = policy;
    this.#circuits = new LRUCache({ max: policy.maxKeys ?? 1_000 });
  }

  /** Asks to call. After `allow` or `probe`, report the outcome. */
  request(key: string, now: number): CircuitDecision {
    const circuit = this.#circuits.get(key);
    if (!circuit || circuit.opened === 0) return 'allow';
    if (now < circuit.openUntil) return 'deny';
    // One caller probes; the others are denied until it reports or is given up on.
    circuit.openUntil = now + this.#policy.probeMs;
    circuit.isProbed = true;
    return 'probe';
  }

  /** Whether a probe is under way. Who was denied for that may call all the same, if going elsewhere costs more than to fail with it. */
  isProbed(key: string, now: number): boolean {
    return this.isOpen(key, now) && this.#circuits.get(key)?.isProbed === true;
  }

  /** Whether calls are denied just now; asks for nothing. */
  isOpen(key: string, now: number): boolean {
    const circuit = this.#circuits.get(key);
    return circuit !== undefined && circuit.opened > 0 && now < circuit.openUntil;
  }

  succeeded(key: string): void {
    this.#circuits.delete(key);
  }

  failed(key: string, now: number): void {
    const circuit = this.#circuits.get(key) ?? { failures: 0, opened: 0, openUntil: 0, isProbed: false };
    // Many who called together fail together, which is one failure and not many in a row.
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
