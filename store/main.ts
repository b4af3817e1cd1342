/** The store: two instances of CNCF distribution over one volume, and what keeps them going. */
import { systemClock } from '../platform/clock.ts';
import { healthServer, Readiness } from '../platform/health.ts';
import { httpServer } from '../platform/http-server.ts';
import { runMain } from '../platform/main.ts';
import { supervisorApi } from './api.ts';
import { config } from './config.ts';
import { observeSupervisor, supervisorEvents } from './metrics.ts';
import { scrubber } from './scrub.ts';
import { Supervisor } from './supervisor.ts';
import { readTrust } from './trust.ts';

await runMain({
  process: 'store',
  summary: 'keeps the images, by running CNCF distribution',
  config,
  compose: async ({ settings, log, metrics, signal }) => {
    const trust = await readTrust(settings.trustFolder, log);
    const events = supervisorEvents(metrics);
    const supervisor = new Supervisor({ settings, trust, clock: systemClock, log, env: process.env, events });
    observeSupervisor(metrics, supervisor);
    const readiness = new Readiness(signal);
    // A collection takes the writer away for a while; the nodes are served all the same.
    readiness.add('reader', () => (supervisor.ready('reader') ? undefined : 'the reader does not answer'));
    const scrubOptions = {
      root: supervisor.images,
      bytesPerSecond: settings.scrubPace,
      pauseMs: settings.scrubPause,
      clock: systemClock,
      log,
    };
    const api = supervisorApi({ supervisor, writerKeys: () => trust.get().writer, log });
    return [
      healthServer({ address: settings.metricsListen, metrics, readiness }),
      trust.component('trust'),
      supervisor,
      ...(settings.storage === undefined ? [scrubber(scrubOptions)] : []),
      httpServer({ name: 'api', handler: api, addresses: [settings.supervisorListen] }),
    ];
  },
});
