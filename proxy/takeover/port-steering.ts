/**
 * Which of two processes that share a port (`SO_REUSEPORT`) gets the connections. The kernel gives each to
 * either of them, and when a listener closes it resets those queued there. So a process that stops first has
 * all sent to the other; and a successor gets none before it has passed its self-test.
 * https://man7.org/linux/man-pages/man7/socket.7.html (SO_ATTACH_REUSEPORT_CBPF)
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, type Server, type Socket } from 'node:net';
import { setImmediate as polled, setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../../platform/log.ts';

/** Places in the kernel's list of the port's listeners, oldest first. It has us and at most one other. */
const [FIRST, SECOND] = ['0', '1'] as const;
/** How long a connection to our own port may take, in milliseconds: a successor that hangs accepts none. */
const CONNECT_MS = 1_000;
/** How long the program may take to make its one system call, in milliseconds. */
const PROGRAM_MS = 5_000;
/** How often to look whether a successor listens, in milliseconds. */
const LOOK_MS = 250;
/** How much longer than `patienceMs` {@link PortSteering.leave} may take, in milliseconds. */
export const STEERING_MS = 2 * (PROGRAM_MS + CONNECT_MS);

export interface PortSteeringOptions {
  /** Path of `steer-port`, which sets the socket option that Node.js cannot. */
  readonly program: string;
  readonly log: Logger;
}

/** If the program cannot run, the kernel resets only connections that are made as a listener closes. */
export class PortSteering {
  readonly #program: string;
  readonly #log: Logger;
  readonly #servers = new Set<Server>();

  constructor({ program, log }: PortSteeringOptions) {
    this.#program = program;
    this.#log = log;
  }

  /** From now on new connections go to the process that has listened longest. */
  async join(server: Server): Promise<void> {
    this.#servers.add(server);
    await this.#steer(FIRST, server);
  }

  /** From now on new connections go to all listeners, ours among them. Does not throw. */
  readonly share = async (): Promise<void> => {
    for (const server of this.#servers) await this.#steer('hash', server);
  };

  /**
   * From now on new connections go to the other listener. Those that the kernel has already queued for this
   * one still come.
   * @param patienceMs how long to wait for another listener
   * @returns false when there is none, or the kernel cannot be asked
   */
  async leave(server: Server, patienceMs: number): Promise<boolean> {
    this.#servers.delete(server);
    const patience = performance.now() + patienceMs;
    for (;;) {
      for (const index of [SECOND, FIRST]) {
        if (!(await this.#steer(index, server))) return false;
        if (!(await getsConnections(server))) return true;
      }
      if (performance.now() >= patience) return false;
      await delay(LOOK_MS);
    }
  }

  async #steer(to: typeof FIRST | typeof SECOND | 'hash', server: Server): Promise<boolean> {
    try {
      await run(this.#program, to, descriptorOf(server));
      return true;
    } catch (error) {
      this.#log.warn('connections to a shared port cannot be steered', { to, error });
      return false;
    }
  }
}

/** Node.js has no documented way to ask for a listener's descriptor. */
function descriptorOf(server: Server): number {
  const { _handle: handle } = server as unknown as { readonly _handle: { readonly fd: number } | null };
  if (!handle || handle.fd < 0) throw new Error('the server does not listen');
  return handle.fd;
}

/** Gives the program the socket as descriptor 3. */
async function run(program: string, to: string, socket: number): Promise<void> {
  const child = spawn(program, [to], {
    stdio: ['ignore', 'ignore', 'pipe', socket],
    timeout: PROGRAM_MS,
    killSignal: 'SIGKILL',
  });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(said.trim() || `${program} ended with ${code ?? 'a signal'}`);
}

/** Whether it is we who accept a connection to the server's address. */
async function getsConnections(server: Server): Promise<boolean> {
  const { address, port } = server.address() as AddressInfo;
  const connection = connect({ host: address, port }).on('error', () => undefined);
  const seen: (number | undefined)[] = [];
  const see = ({ remotePort }: Socket): void => {
    seen.push(remotePort);
  };
  server.on('connection', see);
  const signal = AbortSignal.timeout(CONNECT_MS);
  let localPort: number | undefined;
  try {
    await once(connection, 'connect', { signal });
    ({ localPort } = connection);
    // The other end closes too, since nothing is asked.
    connection.end().resume();
    await once(connection, 'close', { signal });
  } catch {
    // Nobody accepted it in time. If we were merely late ourselves, it is here after the next look at our
    // sockets.
    localPort ??= connection.localPort;
    await polled();
  } finally {
    server.off('connection', see);
    connection.destroy();
  }
  return localPort !== undefined && seen.includes(localPort);
}
