/** Builds programs from a pinned Go module once, into a cache folder outside the checkout. */
import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { access, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { availableParallelism, homedir, totalmem } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { withFileLock } from './file-lock.ts';
import { requirePrerequisites } from './prerequisites.ts';

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
  /** Told when a build starts and ends; default: standard error. Nothing is said when the cache has it. */
  readonly report?: (line: string) => void;
  /** Told how many packages have been compiled, each time that one more is. */
  readonly progress?: (packages: number) => void;
}

/** Where built programs are kept: `$LARDER_CACHE`, else `$XDG_CACHE_HOME/larder`, else `~/.cache/larder`. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  if (env['LARDER_CACHE']) return env['LARDER_CACHE'];
  return join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'larder');
}

/**
 * The folder that holds the module's binaries, built if they are not in the cache yet.
 * When another process is building them, waits for its result.
 * @throws {PrerequisiteError} when there is no `go` to run.
 * @throws {Error} with the end of Go's output when the build fails.
 */
export async function buildGoTool(module: GoModule, options: BuildOptions = {}): Promise<string> {
  const folder = await folderOf(module);
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

/** Whether the cache has the module's binaries. */
export async function isBuilt(module: GoModule): Promise<boolean> {
  return await exists(await folderOf(module));
}

/**
 * Downloads the source of all packages that the binaries are made of. Gives their number.
 * @throws as {@link buildGoTool}
 */
export async function downloadSources(module: GoModule, signal?: AbortSignal): Promise<number> {
  let packages = 0;
  const list = ['list', '-mod=readonly', '-deps', ...Object.values(module.binaries)];
  await runGo(list, module, { ...(signal ? { signal } : {}), onOutput: () => (packages += 1) });
  return packages;
}

async function folderOf(module: GoModule): Promise<string> {
  return join(cacheFolder(), 'go', `${basename(module.folder)}-${await cacheKey(module)}`);
}

async function build(
  module: GoModule,
  folder: string,
  { signal, report = writeLine, progress }: BuildOptions,
): Promise<void> {
  const name = basename(module.folder);
  const started = performance.now();
  const unfinished = join(dirname(folder), `.building-${name}-${randomUUID()}`);
  await mkdir(unfinished, { recursive: true });
  report(`compiling ${name} …`);
  let compiled = 0;
  const onProblem = (line: string): boolean => {
    if (!isPackage(line)) return false;
    progress?.((compiled += 1));
    return true;
  };
  try {
    const packages = Object.values(module.binaries);
    const flags = ['-v', '-trimpath', '-mod=readonly', '-ldflags', ldflags(module)];
    const build = ['build', ...flags, '-o', `${unfinished}/`, ...packages];
    await runGo(build, module, { ...(signal ? { signal } : {}), onProblem });
    for (const [binary, path] of Object.entries(module.binaries)) {
      await rename(join(unfinished, binaryGoWrites(path, module.folder)), join(unfinished, binary));
    }
    await rename(unfinished, folder);
    report(`compiled ${name} in ${((performance.now() - started) / 1000).toFixed(0)} s`);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

/** `go build -v` prints the path of each package that it compiles. */
function isPackage(line: string): boolean {
  return /^[\w.~+/-]+$/.test(line);
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

interface GoRun {
  readonly signal?: AbortSignal;
  readonly onOutput?: (line: string) => void;
  /** True when the line is none that an error should quote. */
  readonly onProblem?: (line: string) => boolean;
}

async function runGo(args: readonly string[], module: GoModule, options: GoRun): Promise<void> {
  const target = module.target ?? hostTarget();
  const go = spawn('go', args, {
    cwd: module.folder,
    env: {
      ...process.env,
      CGO_ENABLED: '0',
      GOWORK: 'off',
      GOOS: target.os,
      GOARCH: target.arch,
      ...gcSettings(process.env),
      ...module.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    // On SIGINT, unlike SIGTERM, go ends its compilers and removes its scratch folder.
    killSignal: 'SIGINT',
    ...(options.signal ? { signal: options.signal } : {}),
  });
  const problems: string[] = [];
  createInterface(go.stdout).on('line', (line) => options.onOutput?.(line));
  createInterface(go.stderr).on('line', (line) => {
    if (!options.onProblem?.(line)) problems.push(line);
  });
  let failure: NodeJS.ErrnoException | undefined;
  go.once('error', (error) => (failure = error));
  const code = await new Promise<number | null>((resolve) => go.once('close', resolve));
  if (failure?.code === 'ENOENT') requirePrerequisites('go');
  options.signal?.throwIfAborted();
  if (failure) throw failure;
  if (code !== 0)
    throw new Error(`go ${args[0]} in ${module.folder} failed:\n${problems.join('\n').slice(-4000)}`);
}

/**
 * With memory to spare, compilers that collect garbage less often take 8 % less processor time; what they
 * write is the same.
 */
function gcSettings(env: NodeJS.ProcessEnv): Readonly<Record<string, string>> {
  const spare = totalmem() / availableParallelism() >= 4 * 2 ** 30;
  return spare && env['GOGC'] === undefined ? { GOGC: '400' } : {};
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
