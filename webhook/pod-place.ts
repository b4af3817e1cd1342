/** Whether a Pod can only run where no proxy works, as far as admission can know. */
import { z } from 'zod';
import type { Rules } from '../api/rules.ts';
import type { JsonObject } from './admission-review.ts';

const Expressions = z
  .array(
    z.object({ key: z.string(), operator: z.string(), values: z.array(z.string()).default([]) }).catch({
      key: '',
      operator: '',
      values: [],
    }),
  )
  .catch([]);
const Term = z
  .object({ matchExpressions: Expressions.default([]), matchFields: Expressions.default([]) })
  .catch({ matchExpressions: [], matchFields: [] });

const Place = z
  .object({
    nodeName: z.string().optional().catch(undefined),
    os: z.object({ name: z.string().optional() }).optional().catch(undefined),
    nodeSelector: z.record(z.string(), z.string()).default({}).catch({}),
    affinity: z
      .object({
        nodeAffinity: z.object({
          requiredDuringSchedulingIgnoredDuringExecution: z.object({ nodeSelectorTerms: z.array(Term) }),
        }),
      })
      .optional()
      .catch(undefined),
  })
  .catch({ nodeSelector: {} });

type Term = z.output<typeof Term>;

/**
 * Why a Pod must run on a node without a proxy. Undefined when it may run elsewhere: such Pods go through the
 * cache.
 * @param hasProxy whether the node of that name has a working proxy
 */
export function placeWithoutProxy(
  pod: JsonObject,
  { proxyNodeSelector, nodesWithoutProxy }: Pick<Rules, 'proxyNodeSelector' | 'nodesWithoutProxy'>,
  hasProxy: (node: string) => boolean,
): string | undefined {
  const { nodeName, os, nodeSelector, affinity } = Place.parse(pod['spec']);
  const terms = affinity?.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms ?? [];
  const proxyOs = proxyNodeSelector['kubernetes.io/os'];
  if (os?.name !== undefined && proxyOs !== undefined && os.name !== proxyOs) {
    return `it is made for ${os.name}`;
  }
  const nodes = nodeName ? [nodeName] : namedNodes(terms);
  if (nodes.length > 0 && !nodes.some(hasProxy)) return `the proxy on node ${nodes.join(', ')} is not ready`;
  const leadsAway = (labels: Readonly<Record<string, readonly string[]>>): boolean =>
    contradicts(labels, proxyNodeSelector) ||
    nodesWithoutProxy.some((selector) => isCovered(selector, labels));
  // Terms are alternatives; the node selector holds with each of them.
  const alternatives = terms.length > 0 ? terms.map(requiredLabels) : [{}];
  const selected = Object.fromEntries(Object.entries(nodeSelector).map(([key, value]) => [key, [value]]));
  return alternatives.every((required) => leadsAway({ ...required, ...selected }))
    ? 'its node selector leads to nodes without a proxy'
    : undefined;
}

/**
 * The nodes that the terms name, as they do for pods of a DaemonSet. Empty when a term names none, so that
 * others are allowed.
 */
function namedNodes(terms: readonly Term[]): readonly string[] {
  const names = terms.map(({ matchFields }) =>
    matchFields
      .filter(({ key, operator }) => key === 'metadata.name' && operator === 'In')
      .flatMap(({ values }) => values),
  );
  return names.some((each) => each.length === 0) ? [] : names.flat();
}

/** The values that a term allows for each label. */
function requiredLabels({ matchExpressions }: Term): Record<string, readonly string[]> {
  return Object.fromEntries(
    matchExpressions.filter(({ operator }) => operator === 'In').map(({ key, values }) => [key, values]),
  );
}

/** Whether no node can have both these labels and those that the selector wants. */
function contradicts(
  labels: Readonly<Record<string, readonly string[]>>,
  selector: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(selector).some(([key, value]) => labels[key] && !labels[key].includes(value));
}

/** Whether every node with these labels matches the selector. An empty selector covers nothing. */
function isCovered(
  selector: Readonly<Record<string, string>>,
  labels: Readonly<Record<string, readonly string[]>>,
): boolean {
  const wanted = Object.entries(selector);
  return (
    wanted.length > 0 &&
    wanted.every(
      ([key, value]) => labels[key] && labels[key].length > 0 && labels[key].every((v) => v === value),
    )
  );
}
