/**
 * Who gets the callers of a port that a process and its successor share (`SO_REUSEPORT`). The kernel gives each caller to either, and
 * resets those whom it has queued for a listener that closes; so whoever leaves first has all callers sent to the other. Nor need a
 * newcomer get any before it has proven itself.
 * https://man7.org/linux/man-pages/man7/socket.7.html (SO_ATTACH_REUSEPORT_CBPF)
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, type Server, type Socket } from 'node:net';
import { setImmediate as polled, setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../../platform/log.ts';

/** The kernel's list has us and at most one other; whoever came first is 0. */
const [FIRST, SECOND] = ['0', '1'] as const;
/** In milliseconds: for one call at our own port, which a successor that hangs need not answer. */
const CALL_MS = 1_000;
/** In milliseconds: for a program that makes one system call. */
const PROGRAM_MS = 5_000;
/** In milliseconds: how often it is looked whether a successor listens. */
const LOOK_MS = 250;
/** In milliseconds: how much longer than its patience {@link PortSteering.leave} may take. */
export const STEERING_MS = 2 * (PROGRAM_MS + CALL_MS);

export interface PortSteeringOptions {
  /** Path of `steer-port`, which sets the socket option that Node.js cannot. */
  readonly program: string;
  readonly log: Logger;
}

/** Without the program all works as before; only callers in the very instant in which a listener closes are reset. */
export class PortSteering {
  readonly #program: string;
  readonly #log: Logger;
  readonly #servers = new Set<Server>();

  constructor({ program, log }: PortSteeringOptions) {
    this.#program = program;
    this.#log = log;
  }

  /** Callers stay with a process that is there already. */
  async join(server: Server): Promise<void> {
    this.#servers.add(server);
    await this.#steer(FIRST, server);
  }

  /** Callers go to any listener from now on, ours among them. */
  async share(): Promise<void> {
    for (const server of this.#servers) await this.#steer('hash', server);
  }

  /**
   * Callers go to the other listener from now on; those whom the kernel queued for this one before still come.
   * @param patienceMs how long to wait for another when there is none
   * @returns false when there is none, or the kernel cannot be asked
   */
  async leave(server: Server, patienceMs: number): Promise<boolean> {
    this.#servers.delete(server);
    const patience = performance.now() + patienceMs;
    for (;;) {
      for (const index of [SECOND, FIRST]) {
        if (!(await this.#steer(index, server))) return false;
        if (!(await getsCallers(server))) return true;
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
      this.#log.warn('callers of a shared port cannot be steered', { to, error });
      return false;
    }
  }
}

/** Node.js tells the descriptor of no listener by a documented way. */
function descriptorOf(server: Server): number {
  const { _handle: handle } = server as unknown as { readonly _handle: { readonly fd: number } | null };
  if (!handle || handle.fd < 0) throw new Error('the server does not listen');
  return handle.fd;
}

/** The program finds the socket as descriptor 3. */
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

/** Calls at the server's address, says nothing and looks who opens. */
async function getsCallers(server: Server): Promise<boolean> {
  const { address, port } = server.address() as AddressInfo;
  const call = connect({ host: address, port }).on('error', () => undefined);
  const seen: (number | undefined)[] = [];
  const see = ({ remotePort }: Socket): void => {
    seen.push(remotePort);
  };
  server.on('connection', see);
  const signal = AbortSignal.timeout(CALL_MS);
  let localPort: number | undefined;
  try {
    await once(call, 'connect', { signal });
    ({ localPort } = call);
    // Whoever opens closes again, since nothing is asked.
    call.end().resume();
    await once(call, 'close', { signal });
  } catch {
    // Nobody opened in time. It may still have been us, who were late: then we have it after the next look at our sockets.
    localPort ??= call.localPort;
    await polled();
  } finally {
    server.off('connection', see);
    call.destroy();
  }
  return localPort !== undefined && seen.includes(localPort);
}
