/** Opens connections for bulk and keeps those that can serve another exchange: TLS settings and guard are those of the host's policy. */
import { connect as connectPlain, isIP, type OnReadOpts, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls';
import { addressRefused, guardedLookup } from './address-guard.ts';
import { tlsOf, type ConnectionPolicy, type ConnectionPolicyOf } from './connection-policy.ts';
import { Wire, type Taker } from './wire.ts';
import { unbracketed } from '../../core/host.ts';

/** Less than what servers keep idle connections for, in milliseconds. */
const IDLE_MS = 4_000;
const MAX_IDLE_PER_HOST = 16;
/** Of what an idle connection may bring, none of which is wanted. */
const NOTHING = new Uint8Array(64);

interface IdleWire {
  readonly wire: Wire;
  readonly timer: NodeJS.Timeout;
}

export class Wires {
  readonly #policyOf: ConnectionPolicyOf;
  readonly #connectMs: number;
  readonly #contexts = new WeakMap<ConnectionPolicy, SecureContext>();
  /** By policy too: what was opened under settings that have changed serves nobody any more. */
  readonly #idle = new WeakMap<ConnectionPolicy, Map<string, IdleWire[]>>();
  readonly #waiting = new Set<Wire>();

  constructor(policyOf: ConnectionPolicyOf, connectMs: number) {
    this.#policyOf = policyOf;
    this.#connectMs = connectMs;
  }

  /** One that has served before, and that its server may have closed meanwhile; undefined when there is none. */
  reuse(url: URL, taker: Taker): Wire | undefined {
    const kept = this.#idle.get(this.#policyOf(url.host))?.get(url.origin);
    for (let idle = kept?.pop(); idle !== undefined; idle = kept?.pop()) {
      this.#forget(idle);
      if (!idle.wire.isOpen) continue;
      idle.wire.idle(false);
      idle.wire.handTo(taker);
      return idle.wire;
    }
    return undefined;
  }

  /** Errors of connecting reach the taker. @throws RegistryError when the address is refused */
  open(url: URL, taker: Taker): Wire {
    const policy = this.#policyOf(url.host);
    const host = unbracketed(url.hostname);
    // Node looks up names only, so an address given as such is checked here.
    if (policy.guard !== undefined && isIP(host) !== 0 && !policy.guard(host)) throw addressRefused(url.host);
    return new Wire((onread) => this.#connect(url, host, policy, onread), taker);
  }

  /** For the next exchange with the same server, when the last one has ended well. */
  keep(url: URL, wire: Wire): void {
    const policy = this.#policyOf(url.host);
    const byOrigin = this.#idle.get(policy) ?? new Map<string, IdleWire[]>();
    this.#idle.set(policy, byOrigin);
    const kept = byOrigin.get(url.origin) ?? [];
    byOrigin.set(url.origin, kept);
    if (kept.length >= MAX_IDLE_PER_HOST) {
      wire.destroy();
      return;
    }
    const drop = (): void => {
      wire.destroy();
    };
    const idle = { wire, timer: setTimeout(drop, IDLE_MS).unref() };
    kept.push(idle);
    this.#waiting.add(wire);
    wire.idle(true);
    wire.handTo({
      space: () => NOTHING,
      // Nobody has asked anything, so it cannot be an answer.
      take: () => {
        drop();
        return false;
      },
      closed: () => {
        this.#forget(idle);
        const place = kept.indexOf(idle);
        if (place >= 0) kept.splice(place, 1);
        if (kept.length === 0) byOrigin.delete(url.origin);
      },
    });
    wire.resume();
  }

  /** Ends idle connections; those in use end with their exchange. */
  close(): void {
    for (const wire of this.#waiting) wire.destroy();
  }

  #forget({ wire, timer }: IdleWire): void {
    clearTimeout(timer);
    this.#waiting.delete(wire);
  }

  #connect(url: URL, host: string, policy: ConnectionPolicy, onread: OnReadOpts): Socket {
    const secure = url.protocol === 'https:';
    const options = {
      host,
      port: Number(url.port || (secure ? 443 : 80)),
      onread,
      ...(policy.guard === undefined ? {} : { lookup: guardedLookup(policy.guard) }),
    };
    const socket = secure
      ? connectTls({ ...options, ...this.#tls(policy, host), ALPNProtocols: ['http/1.1'] })
      : connectPlain({ ...options, noDelay: true });
    const timer = setTimeout(() => {
      const message = `no connection within ${this.#connectMs} ms`;
      socket.destroy(Object.assign(new Error(message), { code: 'ETIMEDOUT' }));
    }, this.#connectMs);
    const stop = (): void => {
      clearTimeout(timer);
    };
    socket.once(secure ? 'secureConnect' : 'connect', stop).once('close', stop);
    return socket;
  }

  #tls(policy: ConnectionPolicy, host: string): object {
    const { ca, ...tls } = tlsOf(policy);
    const servername = tls.servername ?? (isIP(host) === 0 ? host : undefined);
    return {
      ...tls,
      ...(servername === undefined ? {} : { servername }),
      ...(ca === undefined ? {} : { secureContext: this.#context(policy, ca) }),
    };
  }

  /** Reading all certificates anew for each connection would cost more than the handshake. */
  #context(policy: ConnectionPolicy, ca: string[]): SecureContext {
    const context = this.#contexts.get(policy) ?? createSecureContext({ ca });
    this.#contexts.set(policy, context);
    return context;
  }
}
