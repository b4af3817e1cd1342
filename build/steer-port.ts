/** The program that a proxy sends callers to its successor with, built from its source in `platform/`. */
import { join } from 'node:path';
import { buildGoTool, type BuildOptions, type GoTarget } from './go-tool.ts';

/**
 * Path of the `steer-port` program for one architecture (this machine's, unless told), built if the cache has none.
 * @throws as {@link buildGoTool}.
 */
export async function buildSteerPort(arch?: GoTarget['arch'], options?: BuildOptions): Promise<string> {
  const folder = await buildGoTool(
    {
      folder: join(import.meta.dirname, '../platform/steer-port'),
      binaries: { 'steer-port': '.' },
      ...(arch ? { target: { os: 'linux', arch } } : {}),
    },
    options,
  );
  return join(folder, 'steer-port');
}
