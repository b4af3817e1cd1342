/** A lock between processes that the kernel releases when its holder ends, however it ends. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Runs `work` while holding an exclusive lock on `path` (created if missing), once nobody else holds it.
 * A `flock` child holds it, which ends when this process closes its input or dies.
 * @throws {Error} when util-linux's `flock` cannot be run, or `signal` fires meanwhile
 */
export async function withFileLock<T>(
  path: string,
  work: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  const holder = spawn('flock', ['--exclusive', path, 'sh', '-c', 'echo locked; exec cat >/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    ...(signal ? { signal } : {}),
  });
  const ended = once(holder, 'exit').catch(() => undefined);
  try {
    await Promise.race([
      once(holder.stdout, 'data'),
      once(holder, 'error').then(([error]) => Promise.reject(error as Error)),
      ended.then(() => Promise.reject(new Error(`could not lock ${path}`))),
    ]);
    return await work();
  } finally {
    holder.stdin.destroy();
    await ended;
  }
}
