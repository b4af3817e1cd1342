/** How a server stops without cutting off what is under way. */
import type { Server, ServerResponse } from 'node:http';

/** How often connections that have become idle are closed, in milliseconds. */
const IDLE_CHECK_MS = 50;

/** Has each response from now on close its connection, so that clients go elsewhere by themselves. */
export function sendClientsAway(server: Server): void {
  server.prependListener('request', (_request, response: ServerResponse) => {
    response.setHeader('connection', 'close');
  });
}

/** Takes no more connections, closes those in use as they become idle, and after `ms` whatever is left. */
export function drain(server: Server, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const idle = setInterval(() => {
      // Requests that came while this process was not running are read first.
      setImmediate(() => {
        server.closeIdleConnections();
      });
    }, IDLE_CHECK_MS);
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
