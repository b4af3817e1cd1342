/**
 * Leader election by a Lease (coordination.k8s.io/v1). A process that could not renew in time no longer
 * leads, even if it was asleep.
 */
import { backoffMs } from '../backoff.ts';
import { systemClock, type Clock } from '../clock.ts';
import type { Logger } from '../log.ts';
import { loop, type Component } from '../run.ts';
import type { KubeClient } from './client.ts';
import { isAlreadyExists, isConflict, isNotFound } from './error.ts';
import { leases, type Lease } from './resource.ts';

/** A process that does not lead, or no longer does, tried to write. */
export class NotLeaderError extends Error {
  readonly code = 'NotLeader';
  readonly retryable = false;

  constructor(lease: string) {
    super(`this process does not hold the lease ${lease}`);
    this.name = 'NotLeaderError';
  }
}

export interface LeaderElectionOptions {
  readonly client: KubeClient;
  readonly log: Logger;
  readonly namespace: string;
  readonly name: string;
  /** Unique to this process, e.g. the Pod's name. */
  readonly identity: string;
  /** Others may take over this long after the last renewal that they saw. Default 10 s. */
  readonly leaseMs?: number;
  /** The leader stops leading this long after its last renewal. Less than `leaseMs`; default 7 s. */
  readonly renewDeadlineMs?: number;
  /** How often to try to acquire or renew the lease. Default 2 s. */
  readonly retryMs?: number;
  readonly clock?: Clock;
}

/** What was last seen of another's lease. Only changes of it count, so that clocks need not agree. */
interface Observation {
  readonly renewal: string;
  readonly at: number;
}

export class LeaderElection {
  readonly #options: Required<LeaderElectionOptions>;
  readonly #clock: Clock;
  #observed: Observation | undefined;
  #held: Lease | undefined;
  /** By the monotonic clock. Leading ends then, whatever else happens. */
  #leadsUntil = -Infinity;

  constructor(options: LeaderElectionOptions) {
    this.#options = {
      leaseMs: 10_000,
      renewDeadlineMs: 7_000,
      retryMs: 2_000,
      clock: systemClock,
      ...options,
    };
    this.#clock = this.#options.clock;
  }

  /** Whether this process leads at this moment. Ask before every write: a timer may be late, this is not. */
  isLeader(): boolean {
    return this.#clock.monotonic() < this.#leadsUntil;
  }

  /** @throws {NotLeaderError} */
  assertLeader(): void {
    if (!this.isLeader()) throw new NotLeaderError(this.#options.name);
  }

  /**
   * The component that competes for the lease, and runs `lead` while it holds it. The signal of `lead` is
   * aborted when the lease is lost; then the component competes again. It fails when `lead` fails, and
   * releases the lease when it stops.
   */
  component(lead: (signal: AbortSignal) => Promise<void>): Component {
    return loop('leader election', async (signal) => {
      while (!signal.aborted) {
        await this.#acquire(signal);
        await this.#leadWhileHeld(lead, signal);
      }
    });
  }

  async #acquire(signal: AbortSignal): Promise<void> {
    for (;;) {
      if (await this.#tryToHold(signal)) {
        this.#options.log.info('leading', { lease: this.#options.name, identity: this.#options.identity });
        return;
      }
      const { retryMs } = this.#options;
      await this.#clock.sleep(backoffMs(0, { baseMs: retryMs, maxMs: retryMs }), signal);
    }
  }

  async #leadWhileHeld(lead: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
    const { log, name } = this.#options;
    const leadership = new AbortController();
    const renewals = this.#renewUntilLost(AbortSignal.any([signal, leadership.signal])).finally(() => {
      leadership.abort(new NotLeaderError(name));
    });
    try {
      await lead(leadership.signal);
    } catch (error) {
      if (!leadership.signal.aborted) throw error;
    } finally {
      leadership.abort(new NotLeaderError(name));
      await renewals;
      await this.#release();
    }
    log.info('no longer leading', { lease: name });
  }

  /** Resolves when the lease is lost or the signal aborted. */
  async #renewUntilLost(signal: AbortSignal): Promise<void> {
    try {
      while (this.isLeader()) {
        await this.#clock.sleep(
          Math.min(this.#options.retryMs, this.#leadsUntil - this.#clock.monotonic()),
          signal,
        );
        if (this.isLeader() && !(await this.#tryToHold(signal)) && this.#held === undefined) return;
      }
      this.#options.log.warn('lease not renewed in time', { lease: this.#options.name });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /** One attempt to acquire or renew. A failure is only logged: it is the deadline that ends leading. */
  async #tryToHold(signal: AbortSignal): Promise<boolean> {
    const { log, name, renewDeadlineMs, retryMs } = this.#options;
    const startedAt = this.#clock.monotonic();
    try {
      this.#held = await this.#hold({ signal, deadlineMs: Math.min(renewDeadlineMs, retryMs * 2) });
      // Counted from before the request: the server cannot have stored it earlier than that.
      this.#leadsUntil = this.#held === undefined ? -Infinity : startedAt + renewDeadlineMs;
      return this.#held !== undefined;
    } catch (error) {
      signal.throwIfAborted();
      if (!isConflict(error) && !isAlreadyExists(error))
        log.warn('lease request failed', { lease: name, error });
      return false;
    }
  }

  /** Takes or renews the lease. Undefined while another holds it. */
  async #hold(call: { signal: AbortSignal; deadlineMs: number }): Promise<Lease | undefined> {
    const { client, namespace, name, identity } = this.#options;
    let current: Lease;
    try {
      current = await client.get(leases, { namespace, name }, call);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      return client.create(leases, this.#record(undefined), call);
    }
    const holder = current.spec?.holderIdentity;
    if (holder && holder !== identity && !this.#isExpired(current)) return undefined;
    return client.replace(leases, this.#record(current), call);
  }

  #isExpired(lease: Lease): boolean {
    const now = this.#clock.monotonic();
    const renewal = `${lease.spec?.holderIdentity ?? ''} ${lease.spec?.renewTime ?? ''}`;
    if (this.#observed?.renewal !== renewal) this.#observed = { renewal, at: now };
    return now - this.#observed.at > (lease.spec?.leaseDurationSeconds ?? 0) * 1_000;
  }

  #record(current: Lease | undefined): Lease {
    const { namespace, name, identity, leaseMs } = this.#options;
    const now = microTime(this.#clock.now());
    const mine = current?.spec?.holderIdentity === identity;
    return {
      metadata: { ...current?.metadata, namespace, name },
      spec: {
        holderIdentity: identity,
        leaseDurationSeconds: Math.ceil(leaseMs / 1_000),
        acquireTime: (mine ? current.spec.acquireTime : undefined) ?? now,
        renewTime: now,
        leaseTransitions: (current?.spec?.leaseTransitions ?? -1) + (mine ? 0 : 1),
      },
    };
  }

  /** Lets another take over at once, unless the lease has been lost. A failure is only logged. */
  async #release(): Promise<void> {
    const { client, log, name } = this.#options;
    const held = this.#held;
    const stillLeads = this.isLeader();
    this.#held = undefined;
    this.#leadsUntil = -Infinity;
    if (!held || !stillLeads) return;
    const spec = { ...held.spec, holderIdentity: '', leaseDurationSeconds: 1 };
    await client.replace(leases, { ...held, spec }, { deadlineMs: 2_000 }).catch((error: unknown) => {
      log.warn('lease not released', { lease: name, error });
    });
  }
}

/** meta/v1 MicroTime: RFC 3339 with exactly six digits of a second. */
export function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}
