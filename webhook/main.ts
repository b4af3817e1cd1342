/** The webhook: rewrites the images of Pods at admission, so that nodes pull them through the cache. */
import { readCallerToken } from '../api/admission-caller.ts';
import { capabilityMaker, readCapabilityKeys } from '../api/capability-keys.ts';
import { releaseNames } from '../api/names.ts';
import { systemClock } from '../platform/clock.ts';
import { FileValue } from '../platform/file-watch.ts';
import { healthServer, Readiness } from '../platform/health.ts';
import { httpServer } from '../platform/http-server.ts';
import { KubeClient } from '../platform/kube/client.ts';
import { connect, connectionComponent, loadKubeConfig } from '../platform/kube/connection.ts';
import { EventRecorder } from '../platform/kube/events.ts';
import { runMain } from '../platform/main.ts';
import { readTlsFolder } from '../platform/tls-files.ts';
import { admissionMetrics } from './admission-metrics.ts';
import { ClusterView } from './cluster-view.ts';
import { webhookConfig } from './config.ts';
import { gateReport } from './gate-report.ts';
import { keepIdleConnections, webhookApp } from './server.ts';
import { warmUp } from './warm-up.ts';

await runMain({
  process: 'webhook',
  summary: 'rewrites the images of Pods at admission, so that nodes pull them through the cache',
  config: webhookConfig,
  compose: async ({ settings, log, metrics, signal }) => {
    const { identity, namespace, proxyAddress, proxySelector } = settings;
    warmUp();
    const names = releaseNames(settings.fullname);
    const tls = await readTlsFolder(settings.tlsFolder, log);
    const keys = await FileValue.read({ paths: [settings.capabilityKeys], log, parse: readCapabilityKeys });
    const caller = await FileValue.read({ paths: [settings.callerToken], log, parse: readCallerToken });
    const connection = connect(loadKubeConfig());
    const client = new KubeClient(connection, 'larder-webhook');
    const events = new EventRecorder({ client, log, controller: 'larder.dev/webhook', instance: identity });
    const view = new ClusterView({
      client,
      namespace,
      rulesName: names.rules,
      proxySelector,
      proxyAddress,
      capabilityOf: capabilityMaker(() => keys.get(), systemClock),
      log,
      onGate: gateReport({ events, namespace, name: names.webhook, log }),
    });
    const readiness = new Readiness(signal);
    readiness.add('cluster', view.missing);
    const handler = webhookApp({
      clusterState: view.clusterState,
      callerToken: () => caller.get(),
      metrics: admissionMetrics(metrics, view.isGateOpen),
      log,
    });
    return [
      connectionComponent(connection),
      healthServer({ address: settings.metricsListen, metrics, readiness }),
      tls.component('certificate'),
      keys.component('capability keys'),
      caller.component('admission caller'),
      events.component(),
      ...view.components,
      httpServer({
        name: 'webhook',
        handler,
        addresses: [settings.listen],
        tls,
        lingerMs: settings.lingerTime,
        configure: keepIdleConnections,
      }),
    ];
  },
});
