/** Running distribution's own collector, and making its way smooth. */
import { mkdir, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { Child } from './child.ts';

export interface CollectorOptions {
  readonly program: string;
  readonly env: NodeJS.ProcessEnv;
  /** The writer's configuration. */
  readonly configFile: string;
  /** Killed when it takes longer. Removing goes blob by blob, so that one broken off leaves nothing half done. */
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/** The collector failed; the next collection starts afresh. */
export class CollectionError extends Error {
  override readonly name = 'CollectionError';
  readonly code = 'CollectionFailed';
}

/**
 * Removes the blobs that no manifest refers to. Nobody may write meanwhile; reading is safe. Manifests without a tag stay
 * (`--delete-untagged` would take the children of a sparse index).
 * @throws {CollectionError} when the collector fails, takes too long or is broken off by the signal
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
 * Makes the folders that the collector of v3.1.2 takes for granted: it gives up as a whole ("Path not found") when nothing was
 * ever pushed, or when one single repository has no layer yet: one whose first upload was broken off, or that holds an index only.
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

/** The folders that are repositories. What begins with `_` is a repository's own; no component of a name does. */
async function* repositoriesBelow(folder: string): AsyncGenerator<string> {
  let isRepository = false;
  for await (const entry of await opendir(folder)) {
    if (entry.name.startsWith('_')) isRepository = true;
    else if (entry.isDirectory()) yield* repositoriesBelow(join(folder, entry.name));
  }
  if (isRepository) yield folder;
}
