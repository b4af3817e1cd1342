/** The controller: what pods use becomes CachedImages, and CachedImages become copies in the cache. */
import { releaseNames } from '../api/names.ts';
import { systemClock } from '../platform/clock.ts';
import { healthServer, Readiness } from '../platform/health.ts';
import { KubeClient } from '../platform/kube/client.ts';
import { connect, loadKubeConfig } from '../platform/kube/connection.ts';
import { LeaderElection } from '../platform/kube/lease.ts';
import { runMain } from '../platform/main.ts';
import { config } from './config.ts';
import { controllerFigures } from './metrics.ts';
import { lead } from './leader.ts';

await runMain({
  process: 'controller',
  summary: 'keeps the cache in step with the pods of the cluster',
  config,
  compose: ({ settings, log, metrics, signal }) => {
    const connection = connect(loadKubeConfig());
    const requests = metrics.counter('kube_requests_total', 'Requests to the Kubernetes API', [
      'method',
      'status',
    ]);
    const client = new KubeClient(connection, 'larder-controller', {
      onAnswer: (method, status) => {
        requests.inc({ method, status });
      },
    });
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
    const figures = controllerFigures(metrics);
    const assertLeader = (): void => {
      election.assertLeader();
    };
    return [
      { name: 'Kubernetes API', start: () => Promise.resolve({ stop: () => connection.close() }) },
      healthServer({ address: settings.metricsListen, metrics, readiness: new Readiness(signal) }),
      election.component((term) =>
        lead({ settings, client, assertLeader, figures, clock: systemClock, log }, term),
      ),
    ];
  },
});
