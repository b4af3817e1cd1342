/**
 * How a proxy shares its port with its successor: clients stay with the old one at first, and go to the new
 * one before the old one stops listening.
 */
import type { Server } from 'node:http';
import { setImmediate as polled, setTimeout as delay } from 'node:timers/promises';
import type { SharedPort } from '../../platform/http-server.ts';
import { type PortSteering, STEERING_MS } from './port-steering.ts';

export interface SharedPortOptions {
  readonly steering: PortSteering;
  /** How long to wait for a successor to listen, in milliseconds. Default 0. */
  readonly successorMs?: number;
  /**
   * The server stops listening once no connection has come for this long, in milliseconds, but after 10 s in
   * any case. Default 100.
   */
  readonly lullMs?: number;
}

const LULL_MS = 100;
const LULL_PATIENCE_MS = 10_000;
/** How long connections may still come once they were sent elsewhere, in ms; then they are sent again. */
const RETURN_MS = 500;
const LEAVE_ATTEMPTS = 10;

export function sharedPort({ steering, successorMs = 0, lullMs = LULL_MS }: SharedPortOptions): SharedPort {
  return {
    opened: (server) => steering.join(server),
    closing: (server) => leave(server, steering, { successorMs, lullMs }),
    closingMs: successorMs + STEERING_MS + LULL_PATIENCE_MS,
  };
}

/**
 * Resolves when new connections go to a successor and none has come here for a while. When a listener closes,
 * the kernel resets the connections in its queue, unless `net.ipv4.tcp_migrate_req` is 1 on the node: then it
 * hands them to the other listener (https://docs.kernel.org/networking/ip-sysctl.html). So a listener must not
 * close while a connection waits in its queue.
 */
async function leave(
  server: Server,
  steering: PortSteering,
  { successorMs, lullMs }: { readonly successorMs: number; readonly lullMs: number },
): Promise<void> {
  for (let attempt = 0; attempt < LEAVE_ATTEMPTS; attempt += 1) {
    const sentElsewhere = await steering.leave(server, successorMs);
    const isQuiet = await lull(server, lullMs, sentElsewhere ? RETURN_MS : LULL_PATIENCE_MS);
    if (isQuiet || !sentElsewhere) return;
    // A successor that began to listen, or passed its self-test, meanwhile has steered connections to us.
  }
}

/** True as soon as no connection has come for `ms`; false if that has not happened after `patienceMs`. */
async function lull(server: Server, ms: number, patienceMs: number): Promise<boolean> {
  const began = performance.now();
  let last = began;
  const onConnection = (): void => {
    last = performance.now();
  };
  server.on('connection', onConnection);
  try {
    for (;;) {
      await delay(last + ms - performance.now());
      await polled(); // connections that came while this process did not run are accepted first
      if (performance.now() - last >= ms) return true;
      if (performance.now() - began >= patienceMs) return false;
    }
  } finally {
    server.off('connection', onConnection);
  }
}
