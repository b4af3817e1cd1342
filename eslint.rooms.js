/**
 * Who may import whom inside a process, and two lint rules that hold it. Between processes the compiler keeps the walls
 * (docs/architecture.md, "Where code lives").
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, relative, resolve, sep } from 'node:path';

/**
 * For each room of a process, what it may import of the same process: other rooms, and files that lie beside the rooms.
 * Those files (`main.ts`, `compose.ts` and the like) put the rooms together and may import all of them.
 */
const ROOMS = {
  controller: {
    image: ['jobs', 'cluster', 'policies', 'config.ts'],
    jobs: ['cluster', 'config.ts'],
    store: ['cluster', 'image', 'leader-options.ts'],
    release: ['cluster', 'leader-options.ts'],
    policies: ['cluster'],
    rescue: ['cluster'],
    'startup-taint': ['cluster'],
    uninstall: ['cluster', 'rescue'],
    cluster: [],
  },
  copier: {
    api: ['images', 'upstream', 'metrics.ts'],
    images: ['store', 'upstream', 'download'],
    store: ['upstream', 'download'],
    upstream: ['download'],
    download: [],
  },
  proxy: {
    origins: ['transfer'],
    transfer: [],
    takeover: [],
  },
  'registry/transport': {
    auth: ['http', 'settings'],
    http: ['settings'],
    settings: [],
  },
  platform: {
    kube: ['backoff.ts', 'clock.ts', 'deadline.ts', 'log.ts', 'run.ts', 'unless-aborted.ts'],
  },
};

const ROOT = import.meta.dirname;
const IMPORT = /^(?:import|export) [^;]*?from '(\.[^']+)';/gms;

/** The files that a file imports; each is read once, and the one that is being linted as it is in the editor. */
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

/** The process that a file belongs to, and its room there: a folder, or the file itself when it lies beside the folders. */
function placeOf(file) {
  const path = relative(ROOT, file).split(sep).join('/');
  const house = Object.keys(ROOMS).find((name) => path.startsWith(`${name}/`));
  return house === undefined ? undefined : { house, room: path.slice(house.length + 1).split('/')[0] };
}

/** Reports each import and re-export of a relative path for which `problem` gives a message. */
function importRule(problem) {
  return {
    create(context) {
      const check = (node) => {
        if (!node.source?.value.startsWith('.')) return;
        const target = resolve(dirname(context.filename), node.source.value);
        const message = problem(context.filename, target);
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
    direction: importRule((file, target) => {
      const [from, to] = [placeOf(file), placeOf(target)];
      if (from === undefined || to?.house !== from.house || from.room === to.room) return undefined;
      const allowed = ROOMS[from.house][from.room];
      if (allowed === undefined ? !from.room.endsWith('.ts') : !allowed.includes(to.room))
        return `${from.house}/${from.room} may not import ${to.room}: see the table in eslint.rooms.js.`;
      return undefined;
    }),
    'no-cycle': importRule((file, target) => {
      const path = findPath(target, file);
      const names = path?.map((step) => relative(ROOT, step));
      return names && `This closes a circle of imports: ${[relative(ROOT, file), ...names].join(' → ')}.`;
    }),
  },
};
