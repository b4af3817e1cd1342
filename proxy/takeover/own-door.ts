/**
 * The door of this very proxy. While it is replaced, its ports are shared with another proxy and whoever asks there may be answered by
 * either; at this socket, which lies in a folder of the container's own, nobody else answers.
 */
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { Component } from '../../platform/run.ts';

/** Where the kubelet's startup probe asks. */
export const STARTED_PATH = '/started';

export interface OwnDoorOptions {
  /** Of the socket. */
  readonly path: string;
  /** Answers pulls, as at the shared ports. */
  readonly pulls: RequestListener;
  /** Whether an image could be read through this proxy. */
  readonly works: () => boolean;
}

/** One that another process left behind is replaced. */
export function ownDoor({ path, pulls, works }: OwnDoorOptions): Component {
  return {
    name: 'own door',
    start: async () => {
      await rm(path, { force: true });
      const server = createServer((request, response) => {
        if (request.url === STARTED_PATH) response.writeHead(works() ? 200 : 503).end();
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
