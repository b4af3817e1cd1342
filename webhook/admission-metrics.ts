/** The metrics of admission. */
import type { Counter, Histogram } from 'prom-client';
import type { Metrics } from '../platform/metrics.ts';

export interface AdmissionMetrics {
  readonly reviews: Counter<'outcome'>;
  readonly skipped: Counter<'reason'>;
  readonly duration: Histogram;
}

/** @param isGateOpen called at every scrape */
export function admissionMetrics(metrics: Metrics, isGateOpen: () => boolean): AdmissionMetrics {
  metrics.gauge(
    'admission_gate_open',
    'Whether enough proxies are ready for images to be rewritten.',
    [],
    (gauge) => {
      gauge.set(isGateOpen() ? 1 : 0);
    },
  );
  return {
    reviews: metrics.counter(
      'admission_reviews_total',
      'Reviews by outcome: rewritten, unchanged, failed (admitted unchanged), invalid (not an AdmissionReview).',
      ['outcome'],
    ),
    skipped: metrics.counter('admission_images_skipped_total', 'Images left out of the cache, by reason.', [
      'reason',
    ]),
    duration: metrics.histogram('admission_duration_seconds', 'From the received body to the response.'),
  };
}
