/**
 * A unix socket at which this proxy and no other answers: it is in a folder of the container's own. At the
 * ports either of two proxies may answer, since they share them while one replaces the other.
 */
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { Component } from '../../platform/run.ts';

/** The path that the kubelet's startup probe asks for. */
export const STARTUP_PROBE_PATH = '/startup-probe';

export interface OwnSocketOptions {
  readonly path: string;
  /** Serves pulls, as at the shared ports. */
  readonly pulls: RequestListener;
  /** Whether an image can be read through this proxy. */
  readonly works: () => boolean;
}

/** Replaces a socket that another process left behind. */
export function ownSocket({ path, pulls, works }: OwnSocketOptions): Component {
  return {
    name: 'own socket',
    start: async () => {
      await rm(path, { force: true });
      const server = createServer((request, response) => {
        if (request.url === STARTUP_PROBE_PATH) response.writeHead(works() ? 200 : 503).end();
        else pulls(request, response);
      });
      server.listen(path);
      await once(server, 'listening');
      return {
        stop: async () => {
          const closed = once(server, 'close');
          server.close();
          server.closeAllConnections();
          await closed;
        },
      };
    },
  };
}
