/** Programs of a benchmark on this machine: started, awaited, accounted for, and ended together. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { accepts } from '../../platform/ports.ts';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from '../cluster/wait.ts';

export interface ProgramOptions {
  readonly name: string;
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** The port on 127.0.0.1 that says it is ready. */
  readonly port: number;
}

export interface Program {
  readonly name: string;
  readonly pid: number;
  /** All that its processes have used so far, user and system, in seconds; its children's too. */
  cpuSeconds(): number;
}

/** In ticks of 10 ms, as on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

export class Programs {
  readonly folder: string;
  readonly #children: ChildProcess[] = [];

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async open(): Promise<Programs> {
    return new Programs(await mkdtemp(join(tmpdir(), 'larder-bench-')));
  }

  /** A folder of their own below the one that goes away at the end. */
  subfolder(name: string): string {
    const folder = join(this.folder, name);
    mkdirSync(folder, { recursive: true });
    return folder;
  }

  /** @throws Error with the end of its log when it does not listen within 20 s */
  async start({ name, argv, env = {}, port }: ProgramOptions): Promise<Program> {
    const logFile = join(this.folder, `${name}.log`);
    const log = openSync(logFile, 'w');
    const [command = '', ...args] = argv;
    const child = spawn(command, args, {
      env: { PATH: process.env['PATH'], HOME: this.folder, ...env },
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    this.#children.push(child);
    await once(child, 'spawn');
    const dump = (): Promise<string> => Promise.resolve(readFileSync(logFile, 'utf8').slice(-2_000));
    const ended = new AbortController();
    child.once('exit', () => {
      ended.abort(
        new Error(`${name} ended before it listened: ${readFileSync(logFile, 'utf8').slice(-2_000)}`),
      );
    });
    await waitFor(`${name} listens on ${port}`, () => accepts({ host: '127.0.0.1', port }), {
      signal: ended.signal,
      deadlineMs: 20_000,
      intervalMs: 20,
      dump,
    });
    const pid = child.pid ?? 0;
    return { name, pid, cpuSeconds: () => cpuSeconds(pid) };
  }

  /** Ends all, the last one first, and removes their files. */
  async close(): Promise<void> {
    for (const child of this.#children.toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      const patience = setTimeout(() => child.kill('SIGKILL'), 5_000);
      await exited;
      clearTimeout(patience);
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}

function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const [, , , , , , , , , , , user = 0, system = 0] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const own = (user + system) / TICKS_PER_SECOND;
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(Boolean);
  return children.reduce((sum, child) => sum + cpuSeconds(Number(child)), own);
}
