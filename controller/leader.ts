/** Composes the leader: everything that only one replica may do, from taking the lease to losing it. */
import { releaseNames } from '../api/names.ts';
import { capabilityMaker } from '../api/capability-keys.ts';
import { parseRules, RULES_KEY } from '../api/rules.ts';
import { ConfigMapValue } from '../platform/kube/config-map-value.ts';
import { EventRecorder } from '../platform/kube/events.ts';
import { WorkQueue } from '../platform/kube/work-queue.ts';
import { runGroup } from '../platform/run.ts';
import { fenced } from './cluster/fenced.ts';
import { objectEvents } from './cluster/object-events.ts';
import { watchedPolicies } from './cluster/resources.ts';
import { watchCluster } from './cluster/watches.ts';
import { imageLife } from './image-life.ts';
import type { LeaderOptions } from './leader-options.ts';
import type { ControllerMetrics } from './metrics.ts';
import { policiesFromValues, readPolicies } from './policies/from-values.ts';
import { policyStatuses } from './policies/status.ts';
import { releaseParts } from './release/parts.ts';
import { Rescuer } from './rescue/rescuer.ts';
import { startupTaints } from './startup-taint/remover.ts';

const IMAGES_AT_ONCE = 16;

export interface LeadOptions extends LeaderOptions {
  readonly metrics: ControllerMetrics;
}

/** Resolves once the signal is aborted and everything has stopped; rejects when a part fails. */
export async function lead(options: LeadOptions, signal: AbortSignal): Promise<void> {
  const { settings, client, clock, log, metrics } = options;
  const { namespace, proxyHost, identity } = settings;
  const names = releaseNames(settings.fullname);

  const writer = fenced(client, options.assertLeader);
  const events = new EventRecorder({
    client,
    log,
    clock,
    controller: 'larder.dev/controller',
    instance: identity,
  });
  const release = releaseParts(options, writer);

  const queue = new WorkQueue({ name: 'images', concurrency: IMAGES_AT_ONCE, log, clock });
  const rules = new ConfigMapValue({
    client,
    name: names.rules,
    namespace,
    key: RULES_KEY,
    parse: parseRules,
    log,
  });
  const watches = watchCluster({ client, namespace, proxyHost, rules, queue, log });
  const images = imageLife({ ...options, watches, queue, writer, events, ca: release.ca });

  const values = await readPolicies(settings.policiesFile, log);
  const recordEvent = objectEvents(events, watchedPolicies, 'Match');
  const policies = [
    values.component('policies file'),
    policiesFromValues({ values, client, writer, clock, log }),
    policyStatuses({ ...watches, writer, recordEvent, clock, log }),
  ];

  const rescue = {
    ...watches,
    writer,
    events,
    onRescue: metrics.rescued,
    proxyHost,
    capabilityKeys: release.capabilityKeys,
    capabilityOf: capabilityMaker(release.capabilityKeys, clock),
    patienceMs: settings.rescuePatience,
    clock,
    log,
  };
  const taints = { ...watches, client, writer, patienceMs: settings.startupTaintPatience, clock, log };
  // Each of them listens to the watches as soon as it is made.
  const podHelp = [
    ...(settings.rescue ? [new Rescuer(rescue).component(watches.synced)] : []),
    ...(settings.startupTaint ? [startupTaints(taints, watches.synced)] : []),
  ];

  metrics.follow(images.sources);
  try {
    await runGroup(
      [
        ...release.components,
        events.component(),
        ...watches.components,
        ...policies,
        ...images.components,
        ...podHelp,
      ],
      { signal, log },
    );
  } finally {
    metrics.follow(undefined);
  }
}
