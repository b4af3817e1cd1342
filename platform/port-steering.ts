/**
 * Who gets the callers of a port that a process and its successor share (`SO_REUSEPORT`). The kernel gives each caller to either, and
 * resets those whom it has queued for a listener that closes; so whoever leaves first has all callers sent to the other.
 * https://man7.org/linux/man-pages/man7/socket.7.html (SO_ATTACH_REUSEPORT_CBPF)
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, type Server, type Socket } from 'node:net';
import type { Logger } from './log.ts';

/** A process that goes shares its port with one successor: the kernel's list has two listeners, and we are one of them. */
const INDICES = ['1', '0'] as const;
/** In milliseconds: for one call at our own port, which a successor that hangs need not answer. */
const CALL_MS = 1_000;
/** In milliseconds: for a program that makes one system call. */
const PROGRAM_MS = 2_000;
/** In milliseconds: how long {@link PortSteering.leave} may take. */
export const STEERING_MS = INDICES.length * (PROGRAM_MS + CALL_MS);

export interface PortSteeringOptions {
  /** Path of `steer-port`, which sets the socket option that Node.js cannot. */
  readonly program: string;
  readonly log: Logger;
}

/** Without the program all works as before; only callers in the very instant in which a listener closes are reset. */
export class PortSteering {
  private readonly program: string;
  private readonly log: Logger;

  constructor({ program, log }: PortSteeringOptions) {
    this.program = program;
    this.log = log;
  }

  /** Callers go to any listener again: what a former process asked for outlives it. */
  async share(server: Server): Promise<void> {
    await this.steer('hash', server);
  }

  /**
   * Callers go to the other listener from now on; those whom the kernel queued for this one before still come.
   * @returns false when there is no other, or the kernel cannot be asked
   */
  async leave(server: Server): Promise<boolean> {
    for (const index of INDICES) {
      if (!(await this.steer(index, server))) return false;
      if (!(await getsCallers(server))) return true;
    }
    return false;
  }

  private async steer(to: (typeof INDICES)[number] | 'hash', server: Server): Promise<boolean> {
    try {
      await run(this.program, [to, '3'], descriptorOf(server));
      return true;
    } catch (error) {
      this.log.warn('callers of a shared port cannot be steered', { to, error });
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
async function run(program: string, args: readonly string[], socket: number): Promise<void> {
  const child = spawn(program, args, {
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
  try {
    const signal = AbortSignal.timeout(CALL_MS);
    await once(call, 'connect', { signal });
    const { localPort } = call;
    // Whoever opens closes again, since nothing is asked.
    call.end().resume();
    await once(call, 'close', { signal }).catch(() => undefined);
    return seen.includes(localPort);
  } catch {
    return false; // here it would have been let in
  } finally {
    server.off('connection', see);
    call.destroy();
  }
}
