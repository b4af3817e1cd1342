/**
 * The administrator's rules for the whole cluster: one document, written by the chart and followed by two
 * processes.
 */
import { z } from 'zod';
import { globMatches } from '../registry/core/glob.ts';
import type { Reference } from '../registry/core/reference.ts';
import { CACHE_DISABLED, CACHE_ENABLED } from './names.ts';
import { describeIssue } from './fields.ts';

/** The key of the ConfigMap `<full>-rules`. */
export const RULES_KEY = 'rules.json';

const Globs = z.array(z.string().min(1));
const Scope = z.object({ images: Globs, namespaces: Globs });

const RulesSchema = z.object({
  /** Whether namespaces have to opt in to the cache, or to opt out. */
  mode: z.enum(['optIn', 'optOut']),
  /** Globs over `host/repository` of images that need no credentials. */
  publicRepositories: Globs,
  /** Only these are cached. Globs over `host/repository`, and over names of namespaces. */
  include: Scope,
  /** Never cached, whatever `include` and users say. */
  exclude: Scope,
  /** The labels by which the DaemonSet of the proxies selects nodes. */
  proxyNodeSelector: z.record(z.string(), z.string()),
  /** Node selectors of more nodes without a proxy, for example virtual nodes. */
  nodesWithoutProxy: z.array(z.record(z.string(), z.string())),
  /** The share of ready proxies, 0 to 100, below which nothing is rewritten. */
  minReadyProxiesPercent: z.number().min(0).max(100),
});

export type Rules = Readonly<z.output<typeof RulesSchema>>;

/** The rules until the administrator's are known. */
export const NOTHING_ALLOWED: Rules = {
  mode: 'optIn',
  publicRepositories: [],
  include: { images: [], namespaces: [] },
  exclude: { images: [], namespaces: [] },
  proxyNodeSelector: {},
  nodesWithoutProxy: [],
  minReadyProxiesPercent: 0,
};

/** The rules cannot be used. The message says why. */
export class InvalidRules extends Error {
  readonly code = 'InvalidRules';

  constructor(message: string) {
    super(message);
    this.name = 'InvalidRules';
  }
}

/**
 * @param text JSON
 * @throws {InvalidRules}
 */
export function parseRules(text: string): Rules {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new InvalidRules(`the rules are not JSON: ${error instanceof Error ? error.message : ''}`);
  }
  const parsed = RulesSchema.safeParse(json);
  if (!parsed.success) throw new InvalidRules(`the rules cannot be used: ${describeIssue(parsed.error)}`);
  return parsed.data;
}

/** Whether the administrator lets pods of a namespace use the cache at all. */
export function namespaceAllowed({ include, exclude }: Rules, namespace: string): boolean {
  return matches(include.namespaces, namespace) && !matches(exclude.namespaces, namespace);
}

/** Whether the administrator lets an image be cached. */
export function imageAllowed({ include, exclude }: Rules, image: Reference): boolean {
  const name = `${image.host}/${image.repository}`;
  return matches(include.images, name) && !matches(exclude.images, name);
}

/** Whether a namespace wants the cache. @param label the value of its label `larder.dev/cache` */
export function namespaceAsks({ mode }: Rules, label: string | undefined): boolean {
  return mode === 'optIn' ? label === CACHE_ENABLED : label !== CACHE_DISABLED;
}

function matches(globs: readonly string[], text: string): boolean {
  return globs.some((glob) => globMatches(glob, text));
}
