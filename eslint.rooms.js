/**
 * What may import what inside a process, and two lint rules that enforce it. Between processes the compiler
 * does (docs/architecture.md, "Where code lives").
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, relative, resolve, sep } from 'node:path';

/**
 * For each folder of a process, what it may import of that process: other folders, and files beside the
 * folders. Those files themselves, such as `main.ts` and `compose.ts`, put the folders together and may
 * import all of them.
 */
export const ROOMS = {
  controller: {
    image: ['jobs', 'cluster', 'config.ts'],
    jobs: ['cluster', 'config.ts'],
    store: ['cluster'],
    release: ['cluster', 'leader-options.ts'],
    policies: ['cluster'],
    rescue: ['cluster'],
    'startup-taint': ['cluster'],
    uninstall: ['cluster', 'rescue'],
    cluster: [],
  },
  copier: {
    api: ['orders', 'images', 'upstream', 'metrics.ts'],
    orders: ['images', 'store', 'upstream', 'download'],
    images: ['store', 'upstream', 'download', 'blob-sink.ts'],
    store: ['upstream', 'blob-sink.ts'],
    upstream: ['download'],
    download: ['blob-sink.ts'],
  },
  proxy: {
    origins: ['transfer'],
    transfer: [],
    readiness: [],
    takeover: [],
  },
  'registry/transport': {
    auth: ['http', 'settings'],
    http: ['settings'],
    settings: [],
  },
  platform: {
    kube: ['backoff.ts', 'clock.ts', 'deadline.ts', 'log.ts', 'redact.ts', 'run.ts', 'unless-aborted.ts'],
  },
};

const ROOT = import.meta.dirname;
const IMPORT = /^(?:import|export) [^;]*?from '(\.[^']+)';/gms;

/**
 * The files that each file imports. A file is read once, except that the linted one is taken as it is in the
 * editor.
 */
const importsOf = new Map();

function readImports(file, text) {
  const specifiers = [...text.matchAll(IMPORT)].map(([, specifier]) => specifier);
  const imports = specifiers.map((specifier) => resolve(dirname(file), specifier));
  importsOf.set(file, imports);
  return imports;
}

function knownImports(file) {
  return importsOf.get(file) ?? readImports(file, existsSync(file) ? readFileSync(file, 'utf8') : '');
}

/** The shortest way from one file to another along imports, both included; undefined when there is none. */
function findPath(from, to) {
  const cameFrom = new Map([[from, undefined]]);
  for (const file of cameFrom.keys()) {
    if (file === to) {
      const path = [];
      for (let step = file; step !== undefined; step = cameFrom.get(step)) path.unshift(step);
      return path;
    }
    for (const next of knownImports(file)) if (!cameFrom.has(next)) cameFrom.set(next, file);
  }
  return undefined;
}

/**
 * The process that a file belongs to, and its folder there; the file's own name when it is beside the
 * folders.
 */
function placeOf(file, rooms) {
  const path = relative(ROOT, file).split(sep).join('/');
  const parent = Object.keys(rooms).find((name) => path.startsWith(`${name}/`));
  return parent === undefined ? undefined : { parent, room: path.slice(parent.length + 1).split('/')[0] };
}

/** Reports each import and re-export of a relative path for which `problem` returns a message. */
function importRule(problem, schema = []) {
  return {
    meta: { schema },
    create(context) {
      const check = (node) => {
        if (!node.source?.value.startsWith('.')) return;
        const target = resolve(dirname(context.filename), node.source.value);
        const message = problem(context.filename, target, context.options[0]);
        if (message !== undefined) context.report({ node: node.source, message });
      };
      return {
        Program: () => readImports(context.filename, context.sourceCode.text),
        ImportDeclaration: check,
        ExportNamedDeclaration: check,
        ExportAllDeclaration: check,
      };
    },
  };
}

/** @type {import('eslint').ESLint.Plugin} */
export default {
  rules: {
    direction: importRule(
      (file, target, rooms) => {
        const [from, to] = [placeOf(file, rooms), placeOf(target, rooms)];
        if (from === undefined || to?.parent !== from.parent || from.room === to.room) return undefined;
        const allowed = rooms[from.parent][from.room];
        if (allowed === undefined ? !from.room.endsWith('.ts') : !allowed.includes(to.room))
          return `${from.parent}/${from.room} may not import ${to.room}: see the table in eslint.rooms.js.`;
        return undefined;
      },
      [{ type: 'object' }],
    ),
    'no-cycle': importRule((file, target) => {
      const path = findPath(target, file);
      const names = path?.map((step) => relative(ROOT, step));
      return names && `This closes a circle of imports: ${[relative(ROOT, file), ...names].join(' → ')}.`;
    }),
  },
};
