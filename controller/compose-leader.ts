/** Composes the leader: everything that only one replica may do. */
import { capabilityMaker } from '../api/capability-keys.ts';
import { releaseNames } from '../api/names.ts';
import { parseRules, RULES_KEY } from '../api/rules.ts';
import { ConfigMapValue } from '../platform/kube/config-map-value.ts';
import { EventRecorder } from '../platform/kube/events.ts';
import { WorkQueue } from '../platform/kube/work-queue.ts';
import type { Component } from '../platform/run.ts';
import { fenced } from './cluster/fenced.ts';
import { objectEvents } from './cluster/object-events.ts';
import { watchedPolicies } from './cluster/resources.ts';
import { watchCluster } from './cluster/watches.ts';
import { composeImages } from './compose-images.ts';
import type { LeaderOptions } from './leader-options.ts';
import type { Sources } from './metrics.ts';
import { policiesFromValues, readPolicies } from './policies/from-values.ts';
import { policyStatuses } from './policies/status.ts';
import { releaseParts } from './release/parts.ts';
import { Rescuer } from './rescue/rescuer.ts';
import { startupTaints } from './startup-taint/remover.ts';

const IMAGES_AT_ONCE = 16;

export interface LeaderParts {
  /** In the order in which they start. */
  readonly components: readonly Component[];
  /** For the metrics. */
  readonly sources: Sources;
}

/** @throws when the file of policies cannot be read */
export async function composeLeader(options: LeaderOptions): Promise<LeaderParts> {
  const { settings, client, assertLeader, metrics, clock, log } = options;
  const { namespace, proxyHost, identity } = settings;
  const names = releaseNames(settings.fullname);

  const writer = fenced(client, assertLeader);
  const events = new EventRecorder({
    client,
    log,
    clock,
    controller: 'larder.dev/controller',
    instance: identity,
  });
  const release = releaseParts(options, writer);

  const imageQueue = new WorkQueue({ name: 'images', concurrency: IMAGES_AT_ONCE, log, clock });
  const rules = new ConfigMapValue({
    client,
    name: names.rules,
    namespace,
    key: RULES_KEY,
    parse: parseRules,
    log,
  });
  const watches = watchCluster({ client, namespace, proxyHost, rules, imageQueue, log });
  const { images, pods, nodes, standingFor, proxyWorks, proxyServesTenants, usage, synced } = watches;
  const imageParts = composeImages({ ...options, watches, imageQueue, writer, events, ca: release.ca });

  const values = await readPolicies(settings.policiesFile, log);
  const recordEvent = objectEvents(events, watchedPolicies, 'Match');
  const policies = [
    values.component('policies file'),
    policiesFromValues({ values, client, writer, clock, log }),
    policyStatuses({ policies: watches.policies, images, synced, writer, recordEvent, clock, log }),
  ];

  const rescue = {
    pods,
    standingFor,
    usage,
    proxyWorks,
    proxyServesTenants,
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
  const { startupTaintPatience: patienceMs } = settings;
  const taints = { client, writer, nodes, pods, proxyWorks, patienceMs, clock, log };
  // Each of them listens to the watches as soon as it is made.
  const podHelp = [
    ...(settings.rescue ? [new Rescuer(rescue).component(synced)] : []),
    ...(settings.startupTaint ? [startupTaints(taints, synced)] : []),
  ];

  return {
    components: [
      ...release.components,
      events.component(),
      ...watches.components,
      ...policies,
      ...imageParts.components,
      ...podHelp,
    ],
    sources: imageParts.sources,
  };
}
