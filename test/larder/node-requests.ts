/**
 * Sends HTTP requests from a node through one program there, since starting one costs more than a request.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { ClusterNode } from '../cluster/cluster-node.ts';

export interface RawRequest {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  readonly deadlineMs: number;
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** There was no response. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
  /** The system's error code, such as ECONNREFUSED, if there is one. */
  readonly code: string;

  constructor(code: string, message: string) {
    super(`${code}: ${message}`);
    this.code = code;
  }
}

/** How long an idle program waits for another request, in milliseconds. */
const IDLE_MS = 5_000;

/** Uses a new connection for each request, follows no redirects, and verifies no certificates. */
const program = `
const { createInterface } = require('node:readline');
const clients = { 'http:': require('node:http'), 'https:': require('node:https') };
createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, url, body, deadlineMs, ...options } = JSON.parse(line);
  const say = (answer) => process.stdout.write(JSON.stringify({ id, ...answer }) + '\\n');
  const fail = (error) => say({ failure: [error.code ?? error.name, error.message] });
  const signal = AbortSignal.timeout(deadlineMs);
  const request = { ...options, agent: false, rejectUnauthorized: false, signal };
  clients[new URL(url).protocol].request(url, request, (answer) => {
    const parts = [];
    answer.on('error', fail).on('data', (part) => parts.push(part)).on('end', () => {
      say({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(parts).toString('base64') });
    });
  }).on('error', fail).end(body);
});
`;

type Line = { readonly id: number } & (
  | { readonly failure: readonly [string, string] }
  | {
      readonly failure?: undefined;
      readonly status: number;
      readonly headers: RawAnswer['headers'];
      readonly body: string;
    }
);

interface Waiting {
  readonly resolve: (line: Line) => void;
  readonly reject: (error: Error) => void;
}

class NodeRequests {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  readonly #onEnd: () => void;
  #idle: NodeJS.Timeout | undefined;
  #last = 0;

  /** @param onEnd called when it accepts no more requests */
  constructor(argv: readonly string[], onEnd: () => void) {
    this.#onEnd = onEnd;
    const [command, ...args] = [...argv, process.execPath, '-e', program];
    const env = { PATH: process.env['PATH'] };
    this.#child = spawn(command, args, { env, stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child.stdin?.on('error', () => undefined);
    if (this.#child.stdout)
      createInterface({ input: this.#child.stdout }).on('line', (line) => {
        this.#settle(JSON.parse(line) as Line);
      });
    this.#child.on('error', onEnd).on('close', () => {
      onEnd();
      for (const { reject } of this.#waiting.values())
        reject(new RequestError('EPIPE', 'the program has ended'));
    });
    this.#hold(false);
  }

  async send(request: RawRequest): Promise<RawAnswer> {
    clearTimeout(this.#idle);
    const id = (this.#last += 1);
    const settled = new Promise<Line>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#hold(true);
    this.#child.stdin?.write(`${JSON.stringify({ id, ...request })}\n`);
    const line = await settled;
    if (line.failure) throw new RequestError(...line.failure);
    return { status: line.status, headers: line.headers, body: Buffer.from(line.body, 'base64') };
  }

  #settle(line: Line): void {
    this.#waiting.get(line.id)?.resolve(line);
    this.#waiting.delete(line.id);
    if (this.#waiting.size > 0) return;
    this.#hold(false);
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => {
      this.#onEnd();
      this.#child.stdin?.end();
    }, IDLE_MS).unref();
  }

  /** Whether this process stays alive for it: only while a response is awaited. */
  #hold(on: boolean): void {
    for (const part of [this.#child, this.#child.stdin, this.#child.stdout] as (
      ChildProcess | Socket | null
    )[]) {
      if (on) part?.ref();
      else part?.unref();
    }
  }
}

const running = new Map<string, NodeRequests>();

/**
 * @param user id of the user that sends it; default: root
 * @throws {RequestError} when nobody answers
 */
export async function sendFrom(node: ClusterNode, request: RawRequest, user?: number): Promise<RawAnswer> {
  const as = user === undefined ? [] : ['setpriv', `--reuid=${user}`, '--clear-groups', '--'];
  const argv = [...node.machine.enter(), ...as];
  const key = argv.join(' ');
  const known = running.get(key);
  if (known !== undefined) return await known.send(request);
  const begun: NodeRequests = new NodeRequests(argv, () => {
    if (running.get(key) === begun) running.delete(key);
  });
  running.set(key, begun);
  return await begun.send(request);
}
