/** The image's Go programs, each built from the module that pins it. */
import { join } from 'node:path';
import { buildGoTool, type BuildOptions, type GoTarget } from './go-tool.ts';

interface Program {
  readonly name: string;
  /** Of its go.mod, from the root of the repository. */
  readonly folder: string;
  readonly package: string;
}

/** The registry that `store/` supervises: CNCF distribution. */
const registry: Program = {
  name: 'registry',
  folder: 'store/distribution',
  package: 'github.com/distribution/distribution/v3/cmd/registry',
};

/** Directs new connections to a proxy or to its successor. */
const steerPort: Program = { name: 'steer-port', folder: 'proxy/takeover/steer-port', package: '.' };

type Build = (arch?: GoTarget['arch'], options?: BuildOptions) => Promise<string>;

/**
 * Path of the program for one architecture (this machine's, unless told), built if the cache has none.
 * @throws as {@link buildGoTool}.
 */
const building =
  ({ name, folder, package: source }: Program): Build =>
  async (arch, options) => {
    const target = arch === undefined ? {} : { target: { os: 'linux' as const, arch } };
    const built = await buildGoTool(
      { folder: join(import.meta.dirname, '..', folder), binaries: { [name]: source }, ...target },
      options,
    );
    return join(built, name);
  };

export const buildRegistry = building(registry);
export const buildSteerPort = building(steerPort);
