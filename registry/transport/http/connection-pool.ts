/**
 * Opens connections for bulk exchanges, and keeps those that can serve another one. TLS settings and address
 * guard are those of the host's policy.
 */
import { connect as connectPlain, isIP, type OnReadOpts, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls';
import { unbracketed } from '../../core/host.ts';
import { checkLiteralAddress, guardedLookup } from './address-guard.ts';
import { tlsOf, type ConnectionPolicy, type ConnectionPolicyOf } from './connection-policy.ts';
import { Connection, type Receiver } from './connection.ts';

/** Servers close idle connections after 5 seconds or later; we close ours before that. Milliseconds. */
const IDLE_MS = 4_000;
const MAX_IDLE_PER_ORIGIN = 16;
/** For what an idle connection may bring, none of which is wanted. */
const SCRAP = new Uint8Array(64);

interface IdleConnection {
  readonly connection: Connection;
  readonly timer: NodeJS.Timeout;
}

export class ConnectionPool {
  readonly #policyOf: ConnectionPolicyOf;
  readonly #connectMs: number;
  readonly #contexts = new WeakMap<ConnectionPolicy, SecureContext>();
  /** By policy too: a connection that was opened under other settings is not used again. */
  readonly #idle = new WeakMap<ConnectionPolicy, Map<string, IdleConnection[]>>();
  readonly #waiting = new Set<Connection>();

  /** @param connectMs how long connecting may take, the TLS handshake included */
  constructor(policyOf: ConnectionPolicyOf, connectMs: number) {
    this.#policyOf = policyOf;
    this.#connectMs = connectMs;
  }

  /** An idle connection, which its server may be closing just now; undefined when there is none. */
  reuse(url: URL, receiver: Receiver): Connection | undefined {
    const kept = this.#idle.get(this.#policyOf(url.host))?.get(url.origin);
    for (let idle = kept?.pop(); idle !== undefined; idle = kept?.pop()) {
      this.#forget(idle);
      if (!idle.connection.isOpen) continue;
      idle.connection.setIdle(false);
      idle.connection.handTo(receiver);
      return idle.connection;
    }
    return undefined;
  }

  /** Errors of connecting reach the receiver. @throws RegistryError when the address is refused */
  open(url: URL, receiver: Receiver): Connection {
    const policy = this.#policyOf(url.host);
    checkLiteralAddress(url, policy.guard);
    return new Connection((onread) => this.#connect(url, policy, onread), receiver);
  }

  /**
   * Keeps a connection for the next exchange with the same server. The last exchange must have ended well.
   */
  keep(url: URL, connection: Connection): void {
    const policy = this.#policyOf(url.host);
    const byOrigin = this.#idle.get(policy) ?? new Map<string, IdleConnection[]>();
    this.#idle.set(policy, byOrigin);
    const kept = byOrigin.get(url.origin) ?? [];
    byOrigin.set(url.origin, kept);
    if (kept.length >= MAX_IDLE_PER_ORIGIN) {
      connection.destroy();
      return;
    }
    const drop = (): void => {
      connection.destroy();
    };
    const idle = { connection, timer: setTimeout(drop, IDLE_MS).unref() };
    kept.push(idle);
    this.#waiting.add(connection);
    connection.setIdle(true);
    connection.handTo({
      space: () => SCRAP,
      // Nobody has asked for anything, so it cannot be a response.
      receive: () => {
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
    connection.resume();
  }

  /** Closes idle connections; those in use close at the end of their exchange. */
  close(): void {
    for (const connection of this.#waiting) connection.destroy();
  }

  #forget({ connection, timer }: IdleConnection): void {
    clearTimeout(timer);
    this.#waiting.delete(connection);
  }

  #connect(url: URL, policy: ConnectionPolicy, onread: OnReadOpts): Socket {
    const host = unbracketed(url.hostname);
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

  /** Reading all certificates again for each connection would cost more than its handshake. */
  #context(policy: ConnectionPolicy, ca: string[]): SecureContext {
    const context = this.#contexts.get(policy) ?? createSecureContext({ ca });
    this.#contexts.set(policy, context);
    return context;
  }
}
