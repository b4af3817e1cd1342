/** Whether an instance of distribution works, asked in ways that leave no line in its access log. */
import { connect, createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { request } from 'undici';
import type { ListenAddress } from '../platform/settings.ts';

/** How long an answer over loopback may take. */
const PROBE_TIMEOUT_MS = 5_000;

/** True when connections are accepted there. */
export async function accepts(address: ListenAddress): Promise<boolean> {
  const socket = connect({ host: reachableHost(address.host), port: address.port });
  socket.setTimeout(PROBE_TIMEOUT_MS, () => socket.destroy(new Error('timed out')));
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** True when the process behind the debug port is alive enough to answer. */
export async function answers(debugPort: number): Promise<boolean> {
  return (await debugPage(debugPort, '/debug/health')) !== undefined;
}

/** A page of distribution's debug server; undefined when there is none to be had. */
export async function debugPage(debugPort: number, path: string): Promise<string | undefined> {
  const timeouts = { headersTimeout: PROBE_TIMEOUT_MS, bodyTimeout: PROBE_TIMEOUT_MS };
  try {
    const { statusCode, body } = await request(`http://127.0.0.1:${debugPort}${path}`, {
      ...timeouts,
      reset: true,
    });
    const text = await body.text();
    return statusCode === 200 ? text : undefined;
  } catch {
    return undefined;
  }
}

/** A port on loopback that nobody listens on. */
export async function freeLoopbackPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function reachableHost(host?: string): string {
  if (host === undefined || host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}
