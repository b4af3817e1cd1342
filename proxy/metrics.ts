/** What the proxy counts: requests, bytes and waiting times by origin, and the keys that it holds. */
import type { Metrics } from '../platform/metrics.ts';
import type { CapabilityKey } from '../registry/core/capability.ts';
import type { RequestMetrics } from '../registry/server/request-handler.ts';
import type { Failure } from './origins/plan.ts';

export interface ProxyMetrics {
  readonly observe: (request: RequestMetrics) => void;
  readonly failed: (failure: Failure) => void;
}

export function proxyMetrics(metrics: Metrics, keys: { get(): readonly CapabilityKey[] }): ProxyMetrics {
  metrics.gauge('capability_keys', 'Keys held to check the names of private images with', [], (gauge) => {
    gauge.set(keys.get().length);
  });
  const requests = metrics.counter('proxy_requests_total', 'Pull requests by who served them', [
    'kind',
    'origin',
    'status',
    'complete',
  ]);
  const sent = metrics.counter('proxy_sent_bytes_total', 'Bytes sent to runtimes', ['origin']);
  const head = metrics.histogram('proxy_head_seconds', 'Time until the head of the answer', [
    'kind',
    'origin',
  ]);
  const failures = metrics.counter('proxy_origin_failures_total', 'Origins that did not serve', [
    'origin',
    'verdict',
    'reason',
  ]);
  return {
    observe: ({ kind, origin = 'proxy', status, complete, bytes, headSeconds }) => {
      requests.inc({ kind, origin, status, complete: String(complete) });
      sent.inc({ origin }, bytes);
      head.observe({ kind, origin }, headSeconds);
    },
    failed: ({ origin, verdict, error }) => {
      failures.inc({ origin, verdict, reason: error.reason });
    },
  };
}
