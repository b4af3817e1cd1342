/** HTTP servers as components: listening, TLS that follows its certificate, and draining before they stop. */
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer, Server as TlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { drain, sendClientsAway } from './drain.ts';
import type { FileValue } from './file-watch.ts';
import { tellIdleConnections } from './idle-connections.ts';
import type { Component } from './run.ts';
import type { ListenAddress } from './settings.ts';
import type { TlsKeyPair } from './tls-files.ts';

/** Called by a server whose port another process may listen on as well (`SO_REUSEPORT`). */
export interface SharedPort {
  /** Called once the server listens. */
  readonly opened: (server: Server) => Promise<void>;
  /** Resolves when the server may stop listening, at most `closingMs` later. */
  readonly closing: (server: Server) => Promise<void>;
  readonly closingMs: number;
}

export interface HttpServerOptions {
  readonly name: string;
  readonly handler: RequestListener;
  /** One server per address; they share the handler, and start and stop together. */
  readonly addresses: readonly ListenAddress[];
  /** Serves TLS 1.2 or newer with this certificate. Absent: plain HTTP. */
  readonly tls?: FileValue<TlsKeyPair>;
  /** Lets an old and a new process listen on the same port while one replaces the other. */
  readonly sharedPort?: SharedPort;
  /**
   * How long to go on serving once the server is to stop, in milliseconds, for clients that have not heard of
   * it yet. Each response then closes its connection, so that they go elsewhere. Default 0.
   */
  readonly lingerMs?: number;
  /**
   * How long responses under way may take after that, in milliseconds. Then their connections are cut.
   * Default 15 s.
   */
  readonly drainMs?: number;
  /** Called with each server before it listens, e.g. to set time limits or handle `clientError`. */
  readonly configure?: (server: Server) => void;
}

const DRAIN_MS = 15_000;
/** How long it takes at most to cut what is left after the drain. */
const CUT_MS = 1_000;

/** A server component that also tells where it listens. */
export interface HttpServerComponent extends Component {
  /** The addresses in the order given, with the ports that the system chose. Empty before the start. */
  readonly bound: readonly AddressInfo[];
}

export function httpServer(options: HttpServerOptions): HttpServerComponent {
  const bound: AddressInfo[] = [];
  const { lingerMs = 0, drainMs = DRAIN_MS, sharedPort } = options;
  return {
    name: options.name,
    stopMs: lingerMs + (sharedPort?.closingMs ?? 0) + drainMs + CUT_MS,
    bound,
    start: async () => {
      const servers: Server[] = [];
      try {
        for (const address of options.addresses) {
          const server = build(options);
          servers.push(server);
          bound.push(await listen(server, address, sharedPort !== undefined));
          await sharedPort?.opened(server);
        }
      } catch (error) {
        await Promise.all(servers.filter((server) => server.listening).map((server) => drain(server, 0)));
        throw error;
      }
      const unsubscribe = options.tls?.subscribe((pair) => {
        for (const server of servers)
          if (server instanceof TlsServer) server.setSecureContext(secureOptions(pair));
      });
      return {
        stop: async () => {
          servers.forEach(sendClientsAway);
          if (lingerMs > 0) await delay(lingerMs);
          unsubscribe?.();
          await Promise.all(
            servers.map(async (server) => {
              await sharedPort?.closing(server);
              await drain(server, drainMs);
            }),
          );
        },
      };
    },
  };
}

function build(options: HttpServerOptions): Server {
  const server = options.tls
    ? createTlsServer(secureOptions(options.tls.get()), options.handler)
    : createServer(options.handler);
  tellIdleConnections(server);
  options.configure?.(server);
  return server;
}

function secureOptions({ cert, key }: TlsKeyPair): { cert: Buffer; key: Buffer; minVersion: 'TLSv1.2' } {
  return { cert, key, minVersion: 'TLSv1.2' };
}

function listen(server: Server, { host, port }: ListenAddress, reusePort: boolean): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, reusePort, ...(host ? { host, ipv6Only: host.includes(':') } : {}) }, () => {
      server.off('error', reject);
      resolve(server.address() as AddressInfo);
    });
  });
}
