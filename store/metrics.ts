/** The metrics of the store. */
import { Gauge } from 'prom-client';
import type { Metrics } from '../platform/metrics.ts';
import type { Supervisor, SupervisorEvents } from './supervisor.ts';

export function supervisorEvents(metrics: Metrics): SupervisorEvents {
  const restarts = metrics.counter(
    'store_registry_restarts_total',
    'Registries that ended and were restarted',
    ['instance'],
  );
  const collections = metrics.counter('store_collections_total', 'Garbage collections', ['result']);
  const freed = metrics.counter('store_collected_bytes_total', 'Bytes that collections freed');
  const seconds = metrics.gauge(
    'store_last_collection_seconds',
    'How long the last collection kept the writer stopped',
  );
  return {
    onRestart: (instance) => {
      restarts.inc({ instance });
    },
    onCollection: (collection) => {
      collections.inc({ result: collection.error === undefined ? 'success' : 'failure' });
      freed.inc(collection.freedBytes ?? 0);
      seconds.set(collection.seconds);
    },
  };
}

/** Gauges that ask the supervisor at every scrape. */
export function observeSupervisor(metrics: Metrics, supervisor: Pick<Supervisor, 'ready' | 'status'>): void {
  metrics.gauge(
    'store_registry_ready',
    'Whether a registry answers (1) or not (0)',
    ['instance'],
    (gauge) => {
      for (const instance of ['reader', 'writer'] as const)
        gauge.set({ instance }, Number(supervisor.ready(instance)));
    },
  );
  new Gauge({
    name: 'larder_store_volume_bytes',
    help: 'Bytes of the volume that images take (used) and that are left (free)',
    labelNames: ['space'],
    registers: [metrics.registry],
    async collect() {
      const { volume } = await supervisor.status();
      if (!volume) return;
      this.set({ space: 'used' }, volume.usedBytes);
      this.set({ space: 'free' }, volume.freeBytes);
    },
  });
}
