/** What the webhook counts. */
import type { Counter, Histogram } from 'prom-client';
import type { Metrics } from '../platform/metrics.ts';

export interface AdmissionMetrics {
  readonly reviews: Counter<'outcome'>;
  readonly skipped: Counter<'reason'>;
  readonly duration: Histogram;
}

/** @param gateOpen asked at every scrape */
export function admissionMetrics(metrics: Metrics, gateOpen: () => boolean): AdmissionMetrics {
  metrics.gauge(
    'admission_gate_open',
    'Whether enough proxies are ready for images to be rewritten.',
    [],
    (gauge) => {
      gauge.set(gateOpen() ? 1 : 0);
    },
  );
  return {
    reviews: metrics.counter(
      'admission_reviews_total',
      'Reviews by outcome: rewritten, unchanged, failed (admitted as it was), invalid (no AdmissionReview).',
      ['outcome'],
    ),
    skipped: metrics.counter(
      'admission_images_skipped_total',
      'Images that were not sent through the cache, by reason.',
      ['reason'],
    ),
    duration: metrics.histogram('admission_duration_seconds', 'From the parsed body to the answer.'),
  };
}
