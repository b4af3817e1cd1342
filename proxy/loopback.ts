/** Where the proxy listens: on the node's loopback only. */
import { networkInterfaces } from 'node:os';
import type { ListenAddress } from '../platform/settings.ts';

/** Runtimes may take `localhost` for either address; a node may have IPv6 switched off. */
export function loopbackAddresses(port: number): ListenAddress[] {
  const present = new Set(
    Object.values(networkInterfaces()).flatMap((list) => list?.map(({ address }) => address) ?? []),
  );
  return ['127.0.0.1', '::1']
    .filter((host) => host === '127.0.0.1' || present.has(host))
    .map((host) => ({ host, port }));
}
