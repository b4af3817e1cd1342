/** One run of the registry program. */
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
  /** Gives way to others for the processor. */
  readonly background?: boolean;
}

/**
 * A running program. It writes to our own standard output and error, not to a pipe that we would have to empty: so it goes on
 * serving while this process is frozen or gone, and its lines reach the container's log as they are.
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
    this.ended.catch(() => undefined); // told to whoever awaits it; nobody may be awaiting it yet
  }

  /** Asks the program to end and waits until it has; one that takes longer than `killAfterMs` is killed. */
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
