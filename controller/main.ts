/**
 * The controller: turns the images that pods use into CachedImages, and CachedImages into copies in the
 * cache.
 */
import { releaseNames } from '../api/names.ts';
import { systemClock } from '../platform/clock.ts';
import { healthServer, Readiness } from '../platform/health.ts';
import { KubeClient } from '../platform/kube/client.ts';
import { connect, connectionComponent, loadKubeConfig } from '../platform/kube/connection.ts';
import { LeaderElection } from '../platform/kube/lease.ts';
import { type MainContext, runMain } from '../platform/main.ts';
import type { Component } from '../platform/run.ts';
import { controllerConfig } from './config.ts';
import { lead } from './leader.ts';
import { controllerMetrics } from './metrics.ts';

type Context = MainContext<typeof controllerConfig>;

await runMain({
  process: 'controller',
  summary: 'keeps the cache in step with the pods of the cluster',
  config: controllerConfig,
  compose,
});

function compose({ settings, log, metrics: registry, signal }: Context): Component[] {
  const metrics = controllerMetrics(registry);
  const connection = connect(loadKubeConfig());
  const client = new KubeClient(connection, 'larder-controller', { onAnswer: metrics.requested });
  const election = new LeaderElection({
    client,
    log,
    namespace: settings.namespace,
    name: releaseNames(settings.fullname).leaderLease,
    identity: settings.identity,
    // A frozen leader is replaced within 15 s, with time left to read the cluster.
    leaseMs: 8_000,
    renewDeadlineMs: 6_000,
    retryMs: 1_000,
  });
  const assertLeader = election.assertLeader.bind(election);
  const options = { settings, client, assertLeader, metrics, clock: systemClock, log };
  return [
    connectionComponent(connection),
    healthServer({
      address: settings.metricsListen,
      metrics: registry,
      readiness: new Readiness(signal),
    }),
    election.component((leading) => lead(options, leading)),
  ];
}
