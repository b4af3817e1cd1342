/** A child process: one run of the registry program. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setPriority } from 'node:os';

/** How a program ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ChildOptions {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Runs at a lower processor priority. */
  readonly background?: boolean;
}

/**
 * A running program. It writes to our own standard output and error rather than to a pipe that we would have
 * to drain, so it keeps serving while this process is frozen or gone, and its lines reach the container's log
 * unchanged.
 */
export class Child {
  /** Resolves when the program has ended; rejects when it could not be started. */
  readonly ended: Promise<Exit>;
  readonly #child: ChildProcess;

  constructor({ program, args, env, background = false }: ChildOptions) {
    this.#child = spawn(program, args, { env, stdio: ['ignore', 'inherit', 'inherit'] });
    if (background && this.#child.pid !== undefined) setPriority(this.#child.pid, 10);
    this.ended = (once(this.#child, 'exit') as Promise<[Exit['code'], Exit['signal']]>).then(
      ([code, signal]) => ({
        code,
        signal,
      }),
    );
    this.ended.catch(() => undefined); // it may fail before anybody awaits it, which must not end the process
  }

  /** Asks the program to end, waits until it has, and kills it after `killAfterMs`. */
  async stop(killAfterMs: number): Promise<void> {
    const kill = setTimeout(() => {
      this.kill();
    }, killAfterMs);
    this.#child.kill('SIGTERM');
    await this.ended.catch(() => undefined);
    clearTimeout(kill);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}
