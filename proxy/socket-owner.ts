/**
 * Which user opened a connection on the node's loopback. Pods with the node's network can connect too, but
 * only the node's runtime, which runs as root, may read what belongs to a namespace.
 */
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';

export type Ends = Pick<Socket, 'remoteAddress' | 'remotePort' | 'localAddress' | 'localPort'>;
type ReadTable = (path: string) => Promise<string>;

const TABLES = ['/proc/net/tcp', '/proc/net/tcp6'];
/** State of a connection that its owner has closed: the table no longer has the owner's id. */
const TIME_WAIT = '06';
const ROOT = 0;
const IPV6_LOOPBACK = '00000000000000000000000001000000';

/**
 * Remembers the owner of each connection. One that `/proc` does not list counts as root's: it came by the
 * proxy's own socket, or there is no `/proc`, as on a developer's machine that is not Linux.
 */
export class SocketOwners {
  readonly #read: ReadTable;
  readonly #known = new WeakMap<Ends, Promise<boolean>>();

  constructor(read: ReadTable = (path) => readFile(path, 'latin1')) {
    this.#read = read;
  }

  /** Whether root opened the connection. */
  readonly isRoot = (connection: Ends): Promise<boolean> => {
    const known = this.#known.get(connection) ?? this.#find(connection);
    this.#known.set(connection, known);
    return known;
  };

  async #find(connection: Ends): Promise<boolean> {
    for (const path of TABLES) {
      const table = await this.#read(path).catch(() => '');
      const user = userOf(connection, table);
      if (user !== undefined) return user === ROOT;
    }
    return true;
  }
}

/** For a runtime that does not run as root, and so cannot be told from other processes. */
export const anyConnection = (): Promise<boolean> => Promise.resolve(true);

/**
 * Id of the user whose process opened the connection. Undefined when the table does not list it.
 * @param table `/proc/net/tcp` or `/proc/net/tcp6`, see proc(5)
 */
export function userOf(ends: Ends, table: string): number | undefined {
  const theirs = place(ends.remoteAddress, ends.remotePort);
  const ours = place(ends.localAddress, ends.localPort);
  if (theirs === undefined || ours === undefined) return undefined;
  for (const line of table.split('\n')) {
    const [, from, to, state, , , , uid] = line.trim().split(/\s+/);
    if (state !== TIME_WAIT && from?.endsWith(theirs) === true && to?.endsWith(ours) === true)
      return Number(uid);
  }
  return undefined;
}

/**
 * Address and port as a column of the table ends: the bytes of each 32 bits in the machine's order, which is
 * little-endian.
 */
function place(address: string | undefined, port: number | undefined): string | undefined {
  if (address === undefined || port === undefined) return undefined;
  const words = address === '::1' ? IPV6_LOOPBACK : ipv4Word(address.replace(/^::ffff:/, ''));
  return words && `${words}:${port.toString(16).toUpperCase().padStart(4, '0')}`;
}

function ipv4Word(address: string): string | undefined {
  const bytes = address.split('.').map(Number);
  if (bytes.length !== 4) return undefined;
  return bytes
    .map((byte) => byte.toString(16).toUpperCase().padStart(2, '0'))
    .reverse()
    .join('');
}
