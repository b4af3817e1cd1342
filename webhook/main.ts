/** The admission webhook: sends the images of Pods through the cache. */
import { healthServer, Readiness } from '../platform/health.ts';
import { httpServer } from '../platform/http-server.ts';
import { runMain } from '../platform/main.ts';
import { readTlsFolder } from '../platform/tls-files.ts';
import { admissionMetrics } from './admission-metrics.ts';
import { config } from './config.ts';
import { webhookApp } from './server.ts';

/** Longer than the API server keeps an idle connection (90 s), so that it is never closed under a request. */
const KEEP_ALIVE_MS = 120_000;

await runMain({
  process: 'webhook',
  summary: 'rewrites the images of Pods at admission, so that nodes pull them through the cache',
  config,
  compose: async ({ settings, log, metrics, signal }) => {
    const tls = await readTlsFolder(settings.tlsFolder, log);
    const app = webhookApp({ settings: () => settings, metrics: admissionMetrics(metrics), log });
    return [
      healthServer({ address: settings.metricsListen, metrics, readiness: new Readiness(signal) }),
      tls.component('certificate'),
      httpServer({
        name: 'webhook',
        handler: app,
        addresses: [settings.listen],
        tls,
        lingerMs: settings.lingerTime,
        configure: (server) => {
          server.keepAliveTimeout = KEEP_ALIVE_MS;
        },
      }),
    ];
  },
});
