/** The copier's metrics: requests, downloads, and the disk space that they take. */
import type { Metrics } from '../platform/metrics.ts';
import type { RequestMetrics } from '../registry/server/request-handler.ts';

export interface CopierMetrics {
  readonly observe: (request: RequestMetrics) => void;
}

/** Read at every scrape. */
export interface CopierGauges {
  readonly downloads: { readonly size: number };
  readonly spool: { readonly reserved: number };
}

export function copierMetrics(metrics: Metrics, { downloads, spool }: CopierGauges): CopierMetrics {
  const requests = metrics.counter('copier_requests_total', 'Requests of proxies and the controller', [
    'kind',
    'status',
    'complete',
  ]);
  const duration = metrics.histogram('copier_request_seconds', 'Time until a request was answered whole', [
    'kind',
  ]);
  metrics.gauge('copier_downloads', 'Blobs on their way from upstream into the store', [], (gauge) => {
    gauge.set(downloads.size);
  });
  metrics.gauge('copier_spool_bytes', 'Disk space that downloads take', [], (gauge) => {
    gauge.set(spool.reserved);
  });
  return {
    observe: ({ kind, status, complete, totalSeconds }) => {
      requests.inc({ kind, status, complete: String(complete) });
      duration.observe({ kind }, totalSeconds);
    },
  };
}
