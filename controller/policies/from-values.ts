/**
 * CachePolicies from the chart's values: created, updated, and deleted when the values no longer name them.
 */
import { z } from 'zod';
import { MADE_FOR_LABEL } from '../../api/names.ts';
import type { Clock } from '../../platform/clock.ts';
import { FileValue } from '../../platform/file-watch.ts';
import type { KubeClient } from '../../platform/kube/client.ts';
import { isNotFound } from '../../platform/kube/error.ts';
import { apiVersionOf } from '../../platform/kube/resource.ts';
import type { Logger } from '../../platform/log.ts';
import { loop, type Component } from '../../platform/run.ts';
import type { Writer } from '../cluster/fenced.ts';
import { watchedPolicies } from '../cluster/resources.ts';

const MADE_FOR_VALUES = 'values';
const FIELD_MANAGER = 'larder-values';
const RETRY_MS = 10_000;

/** Name of the policy → its spec; the API server validates the specs. */
const valuesSchema = z.record(z.string(), z.record(z.string(), z.unknown()));
export type PoliciesInValues = z.infer<typeof valuesSchema>;

/**
 * An absent file means that the values name no policy.
 * @throws when the file is not a JSON object of objects
 */
export function readPolicies(path: string, log: Logger): Promise<FileValue<PoliciesInValues>> {
  return FileValue.read({
    paths: [path],
    log,
    parse: ([content]) => valuesSchema.parse(JSON.parse(content?.toString('utf8') ?? '{}')),
  });
}

export interface PoliciesFromValuesOptions {
  readonly values: FileValue<PoliciesInValues>;
  readonly client: Pick<KubeClient, 'list'>;
  readonly writer: Writer;
  readonly clock: Clock;
  readonly log: Logger;
}

export function policiesFromValues(options: PoliciesFromValuesOptions): Component {
  const { values, clock, log } = options;
  return loop('policies from values', async (signal) => {
    for (;;) {
      const changed = nextChange(values, signal);
      const isDone = await bringUpToDate(options, signal).catch((error: unknown) => {
        signal.throwIfAborted();
        log.warn('the policies from the values cannot be written', { error });
        return false;
      });
      await (isDone ? changed : clock.sleep(RETRY_MS, signal));
    }
  });
}

/** False when the API server refused a policy; the others are written all the same. */
async function bringUpToDate(
  { values, client, writer, log }: PoliciesFromValuesOptions,
  signal: AbortSignal,
): Promise<boolean> {
  const wanted = values.get();
  let isDone = true;
  for (const [name, spec] of Object.entries(wanted)) {
    const metadata = { name, labels: { [MADE_FOR_LABEL]: MADE_FOR_VALUES } };
    const body = { apiVersion: apiVersionOf(watchedPolicies), kind: watchedPolicies.kind, metadata, spec };
    const patch = { type: 'apply', body, fieldManager: FIELD_MANAGER, force: true } as const;
    await writer.patch(watchedPolicies, { name }, patch, { signal }).catch((error: unknown) => {
      signal.throwIfAborted();
      isDone = false;
      log.error('a policy from the values was refused', { policy: name, error });
    });
  }
  const selector = `${MADE_FOR_LABEL}=${MADE_FOR_VALUES}`;
  const { items } = await client.list(watchedPolicies, { labelSelector: selector, signal });
  for (const { metadata } of items) {
    const { name = '' } = metadata;
    if (Object.hasOwn(wanted, name)) continue;
    await writer.delete(watchedPolicies, { name }, { signal }).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
  }
  return isDone;
}

function nextChange(values: FileValue<PoliciesInValues>, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  const unsubscribe = values.subscribe(() => {
    resolve(undefined);
  });
  signal.addEventListener(
    'abort',
    () => {
      reject(signal.reason as Error);
    },
    { once: true },
  );
  const changed = promise.finally(unsubscribe);
  changed.catch(() => undefined); // nobody awaits it when a retry is due first
  return changed;
}
