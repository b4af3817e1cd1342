/** One self-contained module per process, made by esbuild from its main.ts. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { hashFolder } from './hash-folder.ts';
import { runProgram, UsageError } from './program.ts';

export const PROCESSES = ['webhook', 'proxy', 'copier', 'controller', 'store'] as const;

const ROOT = join(import.meta.dirname, '..');
/** Everything a bundle is made of. */
const SOURCE_FOLDERS = [...PROCESSES, 'api', 'platform', 'registry'];
const SOURCE_FILES = ['build/bundle.ts', 'package-lock.json', 'tsconfig.base.json'];

/**
 * The client library re-exports every API group. Those that no process uses have no side effects, though the
 * package does not declare so; leaving them out saves 0.6 MB of code and some 15 MiB of memory in each
 * process that talks to the API server.
 */
const dropUnusedApis: Plugin = {
  name: 'drop unused Kubernetes APIs',
  setup: (bundler) => {
    bundler.onResolve({ filter: /.*/ }, async ({ path, pluginData, ...options }) => {
      const outside = !path.startsWith('.') || !options.importer.includes('/@kubernetes/client-node/');
      if (pluginData === dropUnusedApis || (outside && path !== '@kubernetes/client-node')) return undefined;
      const found = await bundler.resolve(path, { ...options, pluginData: dropUnusedApis });
      return found.errors.length > 0 ? found : { ...found, sideEffects: false };
    });
  },
};

/**
 * The schema library brings its messages in some fifty languages; we use English. Saves 0.3 MB of code and 3
 * MiB of memory per process.
 */
const dropOtherLanguages: Plugin = {
  name: 'drop other languages',
  setup: (bundler) => {
    bundler.onLoad({ filter: /\/zod\/v4\/locales\/index\.js$/ }, () => ({ contents: '' }));
  },
};

/** Changes whenever a bundle may come out different, and costs far less than making one. */
export async function hashSources(): Promise<string> {
  const folders = SOURCE_FOLDERS.map((name) => hashFolder(join(ROOT, name)));
  const files = SOURCE_FILES.map((name) => readFile(join(ROOT, name)));
  const hash = createHash('sha256');
  for (const part of await Promise.all<string | Buffer>([...folders, ...files])) hash.update(part);
  return hash.digest('hex');
}

/** Writes `<process>.mjs` for each process, and the programs beside them, into `folder`. */
export async function bundle(folder: string): Promise<void> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    metafile: true,
    entryPoints: {
      ...Object.fromEntries(PROCESSES.map((name) => [name, join(ROOT, name, 'main.ts')])),
      uninstall: join(ROOT, 'controller', 'uninstall', 'main.ts'),
      'proxy-startup-probe': join(ROOT, 'proxy', 'readiness', 'startup-probe.ts'),
    },
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    plugins: [dropUnusedApis, dropOtherLanguages],
    platform: 'node',
    target: 'node24',
    format: 'esm',
    // Names are kept, so that a stack trace in a log can be read.
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: 'none',
    // CommonJS dependencies call `require` for Node's own modules.
    banner: {
      js: "import { createRequire as larderRequire } from 'node:module'; const require = larderRequire(import.meta.url);",
    },
    logLevel: 'warning',
  });
  const unknown = Object.keys(metafile.inputs).find((path) => {
    const [folder = '', ...rest] = path.split('/');
    return !SOURCE_FOLDERS.includes(folder) && ![folder, ...rest].includes('node_modules');
  });
  if (unknown !== undefined)
    throw new Error(`${unknown} is bundled from a folder that hashSources() does not know`);
}

// For the Dockerfile.
if (import.meta.main) {
  await runProgram('Writes the bundles into FOLDER: build/bundle.ts FOLDER', async ([folder]) => {
    if (folder === undefined) throw new UsageError('FOLDER is missing: build/bundle.ts FOLDER');
    await bundle(folder);
    return undefined;
  });
}
