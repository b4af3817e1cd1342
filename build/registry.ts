/** The registry that `store/` supervises (CNCF distribution), built from the module that pins it. */
import { join } from 'node:path';
import { buildGoTool, type BuildOptions, type GoTarget } from './go-tool.ts';

/**
 * Path of the `registry` program for one architecture (this machine's, unless told), built if the cache has none.
 * @throws as {@link buildGoTool}.
 */
export async function buildRegistry(arch?: GoTarget['arch'], options?: BuildOptions): Promise<string> {
  const folder = await buildGoTool(
    {
      folder: join(import.meta.dirname, '../store/distribution'),
      binaries: { registry: 'github.com/distribution/distribution/v3/cmd/registry' },
      ...(arch ? { target: { os: 'linux', arch } } : {}),
    },
    options,
  );
  return join(folder, 'registry');
}
