/** Builds programs from a pinned Go module once, into a cache folder outside the checkout. */
import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { access, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { withFileLock } from './file-lock.ts';

export interface GoModule {
  /** Absolute folder with go.mod, go.sum and, if the program is our own, its source. */
  readonly folder: string;
  /** Name of the binary → package that holds its main function. */
  readonly binaries: Readonly<Record<string, string>>;
  readonly ldflags?: string;
  readonly target?: GoTarget;
  readonly env?: Readonly<Record<string, string>>;
}

export interface GoTarget {
  readonly os: 'linux';
  readonly arch: 'amd64' | 'arm64';
}

export interface BuildOptions {
  readonly signal?: AbortSignal;
  /** Told when a build starts, goes on and ends; nothing is said when the cache has it. */
  readonly report?: (line: string) => void;
}

/** What a person has to put right before anything can be built. */
export class GoMissingError extends Error {
  override readonly name = 'GoMissingError';
  constructor(options?: ErrorOptions) {
    super(
      'Go is needed to build the pinned tools: install Go 1.25 or newer (https://go.dev/dl) and put it on PATH.',
      options,
    );
  }
}

/** Where built programs are kept: `$LARDER_CACHE`, else `$XDG_CACHE_HOME/larder`, else `~/.cache/larder`. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  if (env['LARDER_CACHE']) return env['LARDER_CACHE'];
  return join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'larder');
}

/**
 * The folder that holds the module's binaries, built if they are not in the cache yet.
 * A builder that finds another at the same work waits for its result.
 * @throws {GoMissingError} when there is no `go` to run.
 * @throws {Error} with the end of Go's output when the build fails.
 */
export async function buildGoTool(module: GoModule, options: BuildOptions = {}): Promise<string> {
  const name = basename(module.folder);
  const folder = join(cacheFolder(), 'go', `${name}-${await cacheKey(module)}`);
  if (await exists(folder)) return folder;
  return await withFileLock(
    `${folder}.lock`,
    async () => {
      if (!(await exists(folder))) await build(module, folder, options);
      return folder;
    },
    options.signal,
  );
}

async function build(
  module: GoModule,
  folder: string,
  { signal, report = writeLine }: BuildOptions,
): Promise<void> {
  const name = basename(module.folder);
  const started = performance.now();
  const seconds = (): string => ((performance.now() - started) / 1000).toFixed(0);
  const unfinished = join(dirname(folder), `.building-${name}-${randomUUID()}`);
  await mkdir(unfinished, { recursive: true });
  report(`building ${name} …`);
  const stillAlive = setInterval(() => {
    report(`building ${name} … ${seconds()} s`);
  }, 20_000);
  try {
    const packages = Object.values(module.binaries);
    const flags = ['-trimpath', '-mod=readonly', '-ldflags', ldflags(module)];
    await runGo(['build', ...flags, '-o', `${unfinished}/`, ...packages], module, signal);
    for (const [binary, path] of Object.entries(module.binaries)) {
      await rename(join(unfinished, binaryGoWrites(path, module.folder)), join(unfinished, binary));
    }
    await rename(unfinished, folder);
    report(`built ${name} in ${seconds()} s`);
  } finally {
    clearInterval(stillAlive);
    await rm(unfinished, { recursive: true, force: true });
  }
}

/** Go names a binary after its package's last path element, leaving out a major version (`/v3`). */
function binaryGoWrites(packagePath: string, moduleFolder: string): string {
  if (packagePath === '.') return basename(moduleFolder);
  return basename(packagePath.replace(/\/v\d+$/, ''));
}

function ldflags(module: GoModule): string {
  return `-s -w ${module.ldflags ?? ''}`.trim();
}

async function cacheKey(module: GoModule): Promise<string> {
  const hash = createHash('sha256');
  const target = module.target ?? hostTarget();
  hash.update(JSON.stringify([module.binaries, ldflags(module), target, module.env ?? {}]));
  const sources = (await readdir(module.folder)).filter((file) => /\.(?:go|mod|sum)$/.test(file)).sort();
  for (const file of sources) {
    const content = await readFile(join(module.folder, file));
    hash.update(`${file} ${content.length}\n`).update(content);
  }
  return `${target.os}-${target.arch}-${hash.digest('hex').slice(0, 16)}`;
}

function hostTarget(): GoTarget {
  return { os: 'linux', arch: process.arch === 'arm64' ? 'arm64' : 'amd64' };
}

async function runGo(args: readonly string[], module: GoModule, signal?: AbortSignal): Promise<void> {
  const target = module.target ?? hostTarget();
  const go = spawn('go', args, {
    cwd: module.folder,
    env: {
      ...process.env,
      CGO_ENABLED: '0',
      GOWORK: 'off',
      GOOS: target.os,
      GOARCH: target.arch,
      ...module.env,
    },
    stdio: ['ignore', 'ignore', 'pipe'],
    ...(signal ? { signal } : {}),
  });
  let said = '';
  go.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4000);
  });
  try {
    const [code] = (await once(go, 'close')) as [number | null];
    if (code !== 0) throw new Error(`go ${args[0]} of ${module.folder} failed:\n${said}`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new GoMissingError({ cause: error });
    throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

function writeLine(line: string): void {
  process.stderr.write(`${line}\n`);
}
