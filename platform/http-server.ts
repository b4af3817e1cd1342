/** HTTP servers as components: listening, TLS that follows its certificate, and draining before they stop. */
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { FileValue } from './file-watch.ts';
import type { Component } from './run.ts';
import type { ListenAddress } from './settings.ts';
import type { TlsKeyPair } from './tls-files.ts';

/** What a server does around listening when another process may listen on the same port (`SO_REUSEPORT`). */
export interface SharedPort {
  /** Called once the server listens. */
  readonly opened: (server: Server) => Promise<void>;
  /** Resolves when the server may stop listening; at most `closingMs` later. */
  readonly closing: (server: Server) => Promise<void>;
  readonly closingMs: number;
}

export interface HttpServerOptions {
  readonly name: string;
  readonly handler: RequestListener;
  /** One server per address; they share handler and life. */
  readonly addresses: readonly ListenAddress[];
  /** Serves TLS 1.2 or newer with this certificate; plain HTTP without. */
  readonly tls?: FileValue<TlsKeyPair>;
  /** Lets an old and a new process listen on the same port while one replaces the other. */
  readonly sharedPort?: SharedPort;
  /**
   * How long to go on serving once the server shall stop, for callers that have not heard of it yet; each answer then closes its
   * connection, so that callers go elsewhere by themselves. Default 0.
   */
  readonly lingerMs?: number;
  /** How long answers under way may take once the server stops; then their connections are cut. Default 15 s. */
  readonly drainMs?: number;
  /** Last touch on each server before it listens, e.g. time limits or `clientError`. */
  readonly configure?: (server: Server) => void;
}

const DRAIN_MS = 15_000;
/** For cutting what is left after the drain. */
const CUT_MS = 1_000;
/** Who has just connected has so long to ask before it is taken for idle. */
const FIRST_REQUEST_MS = 1_000;

/** A server component that also tells where it listens once started. */
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
          for (const server of servers) server.prependListener('request', closeAfterAnswer);
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
  tellIdleApart(server);
  options.configure?.(server);
  return server;
}

/**
 * Node.js counts a connection as idle once its answer's end was written, and would cut what a slow client has not taken of it yet. Here
 * it is idle once its answers have left. And Node.js never counts one as idle on which nothing was asked, which clients keep too: those
 * in Go open one when all are busy, and use another that became free meanwhile.
 */
function tellIdleApart(server: Server): void {
  interface Connection {
    answersUnderWay: number;
    /** By `performance.now()`. */
    idleFrom: number;
  }
  const connections = new Map<Socket, Connection>();
  server.on(server instanceof TlsServer ? 'secureConnection' : 'connection', (socket: Socket) => {
    connections.set(socket, { answersUnderWay: 0, idleFrom: performance.now() + FIRST_REQUEST_MS });
    socket.once('close', () => connections.delete(socket));
  });
  server.on('request', ({ socket }, response) => {
    const connection = connections.get(socket);
    if (connection === undefined) return;
    connection.answersUnderWay += 1;
    connection.idleFrom = 0;
    response.once('close', () => {
      connection.answersUnderWay -= 1;
    });
  });
  // `close` calls it too.
  server.closeIdleConnections = () => {
    const now = performance.now();
    for (const [socket, { answersUnderWay, idleFrom }] of connections)
      if (answersUnderWay === 0 && idleFrom <= now) socket.destroy();
  };
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

function closeAfterAnswer(_request: unknown, response: ServerResponse): void {
  response.setHeader('connection', 'close');
}

/** Takes no more connections, closes idle ones as they become idle, and after `ms` whatever is left. */
function drain(server: Server, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const idle = setInterval(() => {
      // What was asked while this process did not run is taken in first.
      setImmediate(() => {
        server.closeIdleConnections();
      });
    }, 50);
    const late = setTimeout(() => {
      server.closeAllConnections();
    }, ms);
    server.close(() => {
      clearInterval(idle);
      clearTimeout(late);
      resolve();
    });
    server.closeIdleConnections();
  });
}
