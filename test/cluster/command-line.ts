/**
 * What is typed after `./cluster`, parsed: every mistake that can be seen without a cluster is found here.
 */
import { parseArgs } from 'node:util';
import { UsageError } from '../../build/program.ts';
import { parseSlot, type Slot } from './slot.ts';

type Option = 'slot' | 'nodes' | 'layer';

interface Syntax {
  /** What has to follow the verb. */
  readonly words: readonly string[];
  readonly options: readonly Option[];
  /** Whether a command line for another program has to follow `--`. */
  readonly command?: true;
}

/** In the order of the help. */
const verbs = {
  up: { words: [], options: ['slot', 'nodes'] },
  down: { words: [], options: ['slot'] },
  status: { words: [], options: [] },
  kubectl: { words: [], options: ['slot'], command: true },
  helm: { words: [], options: ['slot'], command: true },
  exec: { words: ['NODE'], options: ['slot'], command: true },
  fault: { words: ['SITE', 'FAULT'], options: ['slot'] },
  push: { words: ['SITE', 'REPOSITORY', 'TAG'], options: ['slot', 'layer'] },
  programs: { words: [], options: ['slot'] },
  freeze: { words: ['PROGRAM'], options: ['slot'] },
  thaw: { words: ['PROGRAM'], options: ['slot'] },
  stop: { words: ['PROGRAM'], options: ['slot'] },
  restart: { words: ['PROGRAM'], options: ['slot'] },
  'self-check': { words: [], options: ['slot'] },
} as const satisfies Record<string, Syntax>;

export type Verb = keyof typeof verbs;

const faults = ['cut', 'black-hole', 'reject', 'slow', 'restore'] as const;
export type Fault = (typeof faults)[number];

const MAX_NODES = 9;

export interface CommandLine {
  readonly verb: Verb;
  /** As many as the verb asks for. */
  readonly words: readonly string[];
  readonly slot: Slot | undefined;
  /** Of a new cluster. */
  readonly nodes: number;
  /** Bytes of each layer of a test image. */
  readonly layers: readonly number[] | undefined;
  /** What follows `--`: a command line for another program. */
  readonly command: readonly string[];
}

/** @throws {UsageError}, or the error of `parseArgs` */
export function parseCommandLine(argv: readonly string[]): CommandLine {
  const end = argv.indexOf('--');
  const { positionals, values } = parseArgs({
    args: end < 0 ? [...argv] : argv.slice(0, end),
    allowPositionals: true,
    options: {
      slot: { type: 'string' },
      nodes: { type: 'string' },
      layer: { type: 'string', multiple: true },
    },
  });
  const [name = '', ...words] = positionals;
  const verb = parseVerb(name);
  const command = end < 0 ? [] : argv.slice(end + 1);
  checkSyntax(verb, words, Object.keys(values) as Option[], command);
  return {
    verb,
    words,
    slot: values.slot === undefined ? undefined : parseSlot(values.slot),
    nodes: values.nodes === undefined ? 2 : parseNodes(values.nodes),
    layers: values.layer?.map(parseLayer),
    command,
  };
}

/** @throws {UsageError} */
export function parseFault(text: string): Fault {
  const fault = faults.find((candidate) => candidate === text);
  if (fault === undefined) throw new UsageError(`a fault is one of ${faults.join(', ')}, not "${text}"`);
  return fault;
}

function parseVerb(name: string): Verb {
  if (Object.hasOwn(verbs, name)) return name as Verb;
  throw new UsageError(`there is no verb "${name}": \`./cluster help\` lists them`);
}

function checkSyntax(
  verb: Verb,
  words: readonly string[],
  options: readonly Option[],
  command: readonly string[],
): void {
  const syntax: Syntax = verbs[verb];
  const usage = ['./cluster', verb, ...syntax.words, ...(syntax.command ? ['--', '…'] : [])].join(' ');
  const missing = syntax.words[words.length];
  if (missing !== undefined) throw new UsageError(`${missing} is missing: \`${usage}\``);
  const surplus = words[syntax.words.length];
  if (surplus !== undefined) throw new UsageError(`"${surplus}" is one word too many: \`${usage}\``);
  const foreign = options.find((option) => !syntax.options.includes(option));
  if (foreign !== undefined) throw new UsageError(`${verb} has no option --${foreign}`);
  if (syntax.command && command.length === 0) throw new UsageError(`the command is missing: \`${usage}\``);
  if (!syntax.command && command.length > 0) throw new UsageError(`${verb} takes nothing after \`--\``);
}

function parseNodes(text: string): number {
  const nodes = Number(text);
  if (!/^\d+$/.test(text) || nodes < 1 || nodes > MAX_NODES)
    throw new UsageError(`a cluster has 1 to ${MAX_NODES} nodes, not "${text}"`);
  return nodes;
}

function parseLayer(text: string): number {
  const bytes = Number(text);
  if (!/^\d+$/.test(text) || bytes < 2048 || bytes % 512 !== 0)
    throw new UsageError(`the bytes of a layer are a multiple of 512 and at least 2048, not "${text}"`);
  return bytes;
}
