/** Runs distribution's garbage collector, and prepares the volume for it. */
import { mkdir, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { Child } from './child.ts';

export interface CollectorOptions {
  readonly program: string;
  readonly env: NodeJS.ProcessEnv;
  /** The writer's configuration file. */
  readonly configFile: string;
  /** After this the collector is killed. It removes blob by blob, so nothing is left half done. */
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/** The collector failed. The next collection starts from the beginning. */
export class CollectionError extends Error {
  override readonly name = 'CollectionError';
  readonly code = 'CollectionFailed';
}

/**
 * Removes the blobs that no manifest refers to. Reading is safe meanwhile; writing is not. Manifests without
 * a tag stay, since `--delete-untagged` would also remove the children of a sparse index.
 * @throws {CollectionError} when the collector fails, takes too long or is aborted by the signal
 */
export async function collectGarbage(options: CollectorOptions): Promise<void> {
  const { program, env, configFile, deadlineMs } = options;
  const child = new Child({
    program,
    env,
    args: ['garbage-collect', '--quiet', configFile],
    background: true,
  });
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(deadlineMs)]);
  const abort = (): void => {
    child.kill();
  };
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  try {
    const exit = await child.ended;
    signal.throwIfAborted();
    if (exit.code !== 0)
      throw new Error(`registry garbage-collect ended with ${exit.code ?? exit.signal ?? '?'}`);
  } catch (cause) {
    throw new CollectionError('the collection failed', { cause });
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/**
 * Makes the folders that the collector of v3.1.2 takes for granted. It gives up entirely ("Path not found")
 * when nothing was ever pushed, or when a single repository has no layer: its first upload was broken off, or
 * it holds nothing but an index.
 * @param root the root directory of the filesystem driver
 */
export async function prepareForCollector(root: string): Promise<void> {
  const repositories = join(root, 'docker/registry/v2/repositories');
  await mkdir(join(root, 'docker/registry/v2/blobs'), { recursive: true });
  await mkdir(repositories, { recursive: true });
  for await (const repository of repositoriesBelow(repositories)) {
    await mkdir(join(repository, '_layers'), { recursive: true });
  }
}

/**
 * The folders of repositories: those with entries that begin with `_`, as no part of a repository's name
 * does.
 */
async function* repositoriesBelow(folder: string): AsyncGenerator<string> {
  let isRepository = false;
  for await (const entry of await opendir(folder)) {
    if (entry.name.startsWith('_')) isRepository = true;
    else if (entry.isDirectory()) yield* repositoriesBelow(join(folder, entry.name));
  }
  if (isRepository) yield folder;
}
