/** A term of leadership: everything that only one replica may do, from taking the lease to losing it. */
import { releaseNames } from '../api/names.ts';
import { capabilityMaker } from '../api/capability-keys.ts';
import { parseRules, RULES_KEY } from '../api/rules.ts';
import { ConfigMapValue } from '../platform/kube/config-map-value.ts';
import { EventRecorder, type EventToRecord } from '../platform/kube/events.ts';
import { runGroup, type Component } from '../platform/run.ts';
import { type ReleaseParts, releaseParts } from './release/release-parts.ts';
import { fenced, type Writer } from './cluster/fenced.ts';
import { imageLife, type ImageLife } from './image-life.ts';
import { policiesFromValues, readPolicies } from './policies/policies-from-values.ts';
import { policyStatuses } from './policies/policy-status.ts';
import { policyRecords } from './cluster/resources.ts';
import { Rescuer } from './rescue/rescuer.ts';
import { startupTaints } from './startup-taint/startup-taint.ts';
import type { TermOptions } from './leader-options.ts';
import { tellerOf } from './cluster/object-events.ts';
import { watchCluster, type Watches } from './cluster/watches.ts';

/** Resolves when the signal is aborted and everything has stopped; rejects when a part of it fails. */
export async function lead(options: TermOptions, signal: AbortSignal): Promise<void> {
  const { settings, client, clock, log, figures } = options;
  const { namespace, proxyHost } = settings;
  const writer = fenced(client, options.assertLeader);
  const { ca, capabilityKeys, components: release } = releaseParts(options, writer);
  const events = new EventRecorder({
    client,
    log,
    clock,
    controller: 'larder.dev/controller',
    instance: settings.identity,
  });
  const { rules: name } = releaseNames(settings.fullname);
  const rules = new ConfigMapValue({ client, name, namespace, key: RULES_KEY, parse: parseRules, log });
  const watches = watchCluster({ client, namespace, proxyHost, rules, log }, (image) => {
    life.touch(image);
  });
  const life: ImageLife = imageLife({ ...options, watches, writer, events, ca });
  const policiesInValues = await readPolicies(settings.policiesFile, log);
  const tellPolicy = tellerOf(events, policyRecords, 'Match');
  figures.follow(life.sources);
  try {
    await runGroup(
      [
        ...release,
        events.component(),
        ...watches.components,
        policiesInValues.component('policies file'),
        policiesFromValues({ values: policiesInValues, client, writer, clock, log }),
        policyStatuses({ ...watches, writer, tell: tellPolicy, clock, log }),
        ...life.components,
        ...podHelp(options, watches, { writer, events, capabilityKeys }),
      ],
      { signal, log },
    );
  } finally {
    figures.follow(undefined);
  }
}

interface PodHelpParts {
  readonly writer: Writer;
  readonly events: EventRecorder;
  readonly capabilityKeys: ReleaseParts['capabilityKeys'];
}

/** What keeps pods from waiting in vain, as far as the settings have it. */
function podHelp(
  { settings, client, clock, log, figures }: TermOptions,
  watches: Watches,
  { writer, events, capabilityKeys }: PodHelpParts,
): Component[] {
  const record = (event: EventToRecord): void => {
    events.record(event);
  };
  const rescueOptions = {
    ...watches,
    writer,
    record,
    onRescue: figures.rescued,
    proxyHost: settings.proxyHost,
    capabilityKeys,
    capabilityOf: capabilityMaker(capabilityKeys, () => clock.now()),
    patienceMs: settings.rescuePatience,
    clock,
    log,
  };
  const taintOptions = { ...watches, client, writer, patienceMs: settings.startupTaintPatience, clock, log };
  return [
    ...(settings.rescue ? [new Rescuer(rescueOptions).component(watches.synced)] : []),
    ...(settings.startupTaint ? [startupTaints(taintOptions, watches.synced)] : []),
  ];
}
