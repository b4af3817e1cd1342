/** Decides which connections of a server are idle. */
import type { Server } from 'node:http';
import { Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';

/** How long a client that has just connected has for its first request before it counts as idle. */
const FIRST_REQUEST_MS = 1_000;

interface Connection {
  /** Responses that the client does not have yet. */
  pending: number;
  /** By `performance.now()`. */
  idleFrom: number;
}

/**
 * Changes what {@link Server.closeIdleConnections} closes. Node.js counts a connection as idle once its
 * response was written, and would cut what a slow client has not taken yet; here it is idle once the client
 * has all of it. And Node.js never counts a connection as idle that has had no request. Clients in Go keep
 * such connections: they open one when all are busy, and then use another that has become free.
 */
export function tellIdleConnections(server: Server): void {
  const connections = new Map<Socket, Connection>();
  server.on(server instanceof TlsServer ? 'secureConnection' : 'connection', (socket: Socket) => {
    connections.set(socket, { pending: 0, idleFrom: performance.now() + FIRST_REQUEST_MS });
    socket.once('close', () => connections.delete(socket));
  });
  server.on('request', ({ socket }, response) => {
    const connection = connections.get(socket);
    if (connection === undefined) return;
    connection.pending += 1;
    connection.idleFrom = 0;
    response.once('close', () => {
      connection.pending -= 1;
    });
  });
  // `close` calls it too.
  server.closeIdleConnections = () => {
    const now = performance.now();
    for (const [socket, { pending, idleFrom }] of connections)
      if (pending === 0 && idleFrom <= now) socket.destroy();
  };
}
