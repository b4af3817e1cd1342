/** Runs commands to their end, and starts programs that outlive this process. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

export interface RunOptions {
  readonly stdin?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/** The output of a command that exited with 0. */
export interface Output {
  readonly stdout: string;
  readonly stderr: string;
}

/** A command did not exit with 0, or could not be run. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly argv: readonly string[];
  readonly code: number | null;
  readonly stderr: string;
  constructor(argv: readonly string[], code: number | null, output: Output) {
    super(
      `${argv.join(' ').slice(0, 300)} ended with ${code ?? 'a signal'}: ${output.stderr.slice(-2000).trim()}`,
    );
    this.argv = argv;
    this.code = code;
    this.stderr = output.stderr;
  }
}

/**
 * The environment of every command: this process's own would bring its proxies and certificates into the
 * cluster.
 */
const cleanEnvironment = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LANG: 'C.UTF-8',
  // Nearly everything is written in Go, and processors are scarcer than memory.
  GOGC: '400',
};

/** @throws {CommandError} when the command does not exit with 0; an AbortError when `signal` fires */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Output> {
  const [program = '', ...args] = argv;
  const child = spawn(program, args, {
    env: { ...cleanEnvironment, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(options.signal ? { signal: options.signal } : {}),
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  // A program that ends without reading its input is judged by its exit code, not by the broken pipe.
  child.stdin.on('error', () => undefined).end(options.stdin);
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new CommandError(argv, code, output);
  return output;
}

/** A process of this machine; the start time tells it from a later one with the same id. */
export interface ProcessIdentity {
  readonly pid: number;
  /** In clock ticks since boot. */
  readonly startTime: number;
}

/** Undefined when no such process lives (a zombie does not). */
export function identify(pid: number): ProcessIdentity | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : { pid, startTime: Number(fields[19]) };
  } catch {
    return undefined;
  }
}

export function isAlive(process: ProcessIdentity): boolean {
  return identify(process.pid)?.startTime === process.startTime;
}

/** Signals the process if it is still the one that was meant. */
export function signalProcess(target: ProcessIdentity, name: NodeJS.Signals): void {
  if (!isAlive(target)) return;
  // nsenter stops itself along with its child, and has to be woken up with it.
  const parent = name === 'SIGCONT' ? parentOf(target.pid) : undefined;
  process.kill(target.pid, name);
  if (parent !== undefined && executable(parent) === 'nsenter') process.kill(parent, name);
}

/** @throws {Error} when it still lives after `deadlineMs`. */
export async function waitForEnd(target: ProcessIdentity, deadlineMs = 10_000): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (isAlive(target)) {
    if (performance.now() > deadline) throw new Error(`process ${target.pid} did not end`);
    await pause(10);
  }
}

/** Files for the output of a program that outlives this process. */
export interface Logs {
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Starts a program that outlives this process. Gives the process of the program itself, not of a wrapper that
 * enters namespaces (`flock`, `nsenter`, `unshare`), by its id on this machine.
 */
export async function startDetached(
  argv: readonly string[],
  logs: Logs,
  env: Readonly<Record<string, string>> = {},
): Promise<ProcessIdentity> {
  const [program = '', ...args] = argv;
  const stdout = openSync(logs.stdout, 'a');
  const stderr = logs.stderr === logs.stdout ? stdout : openSync(logs.stderr, 'a');
  const child = spawn(program, args, {
    cwd: '/',
    detached: true,
    env: { ...cleanEnvironment, ...env },
    stdio: ['ignore', stdout, stderr],
  });
  closeSync(stdout);
  if (stderr !== stdout) closeSync(stderr);
  let failed: Error | undefined;
  child.once('error', (error) => (failed = error));
  child.unref();
  const deadline = performance.now() + 5000;
  while (performance.now() < deadline && failed === undefined && child.exitCode === null) {
    const found = child.pid === undefined ? undefined : behindWrappers(child.pid);
    if (found) return found;
    await pause(5);
  }
  const said = readFileSync(logs.stderr, 'utf8').slice(-2000);
  throw new Error(`${argv.join(' ').slice(0, 300)} did not start: ${failed?.message ?? said}`);
}

const wrappers = new Set(['flock', 'nsenter', 'unshare']);

function behindWrappers(pid: number): ProcessIdentity | undefined {
  const name = executable(pid);
  if (name === undefined) return undefined;
  if (!wrappers.has(name)) return identify(pid);
  for (const child of children(pid)) {
    const found = behindWrappers(child);
    if (found) return found;
  }
  return undefined;
}

/** The name of the file that the process runs. */
function executable(pid: number): string | undefined {
  try {
    return basename(readlinkSync(`/proc/${pid}/exe`));
  } catch {
    return undefined;
  }
}

function children(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function parentOf(pid: number): number | undefined {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}

/** Whether a shell would find the program. */
export function hasProgram(name: string): boolean {
  return (
    spawnSync('sh', ['-c', 'command -v "$0"', name], { env: cleanEnvironment, stdio: 'ignore' }).status === 0
  );
}
