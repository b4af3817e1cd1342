/** What the copier counts: requests, and what is on its way. */
import type { Metrics } from '../platform/metrics.ts';
import type { RequestMetrics } from '../registry/server/request-handler.ts';

export interface CopierMetrics {
  readonly observe: (request: RequestMetrics) => void;
}

/** Asked at every scrape. */
export interface CopierGauges {
  readonly flights: () => number;
  readonly spoolBytes: () => number;
}

export function copierMetrics(metrics: Metrics, gauges: CopierGauges): CopierMetrics {
  const requests = metrics.counter('copier_requests_total', 'Requests of proxies and the controller', [
    'kind',
    'status',
    'complete',
  ]);
  const duration = metrics.histogram('copier_request_seconds', 'Time until a request was answered whole', [
    'kind',
  ]);
  metrics.gauge('copier_blobs_in_flight', 'Blobs on their way from upstream or to the store', [], (gauge) => {
    gauge.set(gauges.flights());
  });
  metrics.gauge('copier_spool_bytes', 'Disk space that blobs on their way take', [], (gauge) => {
    gauge.set(gauges.spoolBytes());
  });
  return {
    observe: ({ kind, status, complete, totalSeconds }) => {
      requests.inc({ kind, status, complete: String(complete) });
      duration.observe({ kind }, totalSeconds);
    },
  };
}
