/**
 * The store: two instances of CNCF distribution over one volume, and the supervisor that keeps them running.
 */
import { systemClock } from '../platform/clock.ts';
import { healthServer, Readiness } from '../platform/health.ts';
import { httpServer } from '../platform/http-server.ts';
import { runMain } from '../platform/main.ts';
import { supervisorApi } from './api.ts';
import { storeConfig } from './config.ts';
import { observeSupervisor, supervisorEvents } from './metrics.ts';
import { scrubber } from './scrub.ts';
import { Supervisor } from './supervisor.ts';
import { readTrust } from './trust.ts';

await runMain({
  process: 'store',
  summary: 'keeps the images, by running CNCF distribution',
  config: storeConfig,
  compose: async ({ settings, log, metrics, signal }) => {
    const clock = systemClock;
    const trust = await readTrust(settings.trustFolder, log);
    const events = supervisorEvents(metrics);
    const supervisor = new Supervisor({ settings, trust, clock, log, env: process.env, events });
    observeSupervisor(metrics, supervisor);
    const readiness = new Readiness(signal);
    readiness.add('reader', supervisor.missing);
    const { scrubPace: bytesPerSecond, scrubPause: pauseMs } = settings;
    const scrubs = scrubber({ root: supervisor.images, bytesPerSecond, pauseMs, clock, log });
    const handler = supervisorApi({ supervisor, trust, log });
    return [
      healthServer({ address: settings.metricsListen, metrics, readiness }),
      trust.component('trust'),
      supervisor,
      ...(settings.storage === undefined ? [scrubs] : []),
      httpServer({ name: 'api', handler, addresses: [settings.supervisorListen] }),
    ];
  },
});
