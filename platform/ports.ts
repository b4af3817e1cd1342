/** Ports of this machine: whether a program listens on one, and which are free. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import type { ListenAddress } from './settings.ts';

const CONNECT_MS = 5_000;

/** Whether something accepts connections at an address that a server of this machine listens on. */
export async function accepts(address: ListenAddress): Promise<boolean> {
  const socket = connect({ host: reachableHost(address.host), port: address.port });
  socket.setTimeout(CONNECT_MS, () => socket.destroy(new Error('timed out')));
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** A port on 127.0.0.1 that nothing listens on. */
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
