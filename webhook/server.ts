/** The webhook on HTTP: one route that answers AdmissionReviews, and that admits whatever goes wrong inside. */
import express, { type ErrorRequestHandler, type Express } from 'express';
import type { Logger } from '../platform/log.ts';
import { allow, parseReview, type AdmissionRequest, type JsonObject } from './admission-review.ts';
import type { AdmissionMetrics } from './admission-metrics.ts';
import { diff } from './patch.ts';
import { rewritePod, type RewriteSettings, type SkippedImage } from './rewrite.ts';

/** A Pod may have 1.5 MB in etcd; a review of an update holds it twice, in JSON. */
const BODY_LIMIT = '8mb';
const MAX_WARNINGS = 5;
const MAX_QUOTED = 80;

export interface WebhookOptions {
  /** Asked at every review, so that settings may change meanwhile. */
  readonly settings: () => RewriteSettings;
  readonly metrics: AdmissionMetrics;
  readonly log: Logger;
}

/** `POST /mutate`. A body that is no AdmissionReview is answered 400, one that is too large 413. */
export function webhookApp(options: WebhookOptions): Express {
  const app = express().disable('x-powered-by').disable('etag');
  app.post('/mutate', express.json({ limit: BODY_LIMIT }), (req, res) => {
    const end = options.metrics.duration.startTimer();
    const request = parseReview(req.body);
    res.json(review(request, options));
    end();
  });
  app.use((_req, res) => {
    res.status(404).json({ message: 'there is only POST /mutate' });
  });
  app.use(errorHandler(options));
  return app;
}

/** Whatever happens in here, the Pod is admitted: without Larder it would have been. */
function review(request: AdmissionRequest, { settings, metrics, log }: WebhookOptions): JsonObject {
  try {
    if (request.pod === undefined) return allow(request.uid);
    const { pod, cached, skipped } = rewritePod(request.pod, request, settings());
    const patch = pod === request.pod ? [] : diff(request.pod, pod);
    metrics.reviews.inc({ outcome: patch.length > 0 ? 'rewritten' : 'unchanged' });
    for (const image of skipped) metrics.skipped.inc({ reason: image.reason });
    log.debug('reviewed', {
      uid: request.uid,
      namespace: request.namespace,
      pod: request.name,
      cached,
      skipped,
    });
    return allow(request.uid, patch, warnings(skipped));
  } catch (error) {
    metrics.reviews.inc({ outcome: 'failed' });
    log.error('review failed, the pod is admitted as it is', {
      uid: request.uid,
      namespace: request.namespace,
      pod: request.name,
      error,
    });
    return allow(request.uid);
  }
}

/** Only what the user can mend is worth a warning. */
function warnings(skipped: readonly SkippedImage[]): readonly string[] {
  return skipped
    .filter((image) => image.reason === 'Unparsable')
    .slice(0, MAX_WARNINGS)
    .map(({ key, image, message }) => `larder: ${key}: image ${quote(image)} is left as it is: ${message}`);
}

function quote(text: string): string {
  return JSON.stringify(text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text);
}

function errorHandler({ metrics, log }: WebhookOptions): ErrorRequestHandler {
  return (error: unknown, _req, res, next) => {
    if (res.headersSent) {
      next(error);
      return;
    }
    const status = statusOf(error);
    metrics.reviews.inc({ outcome: 'invalid' });
    log.warn('request refused', { status, error });
    res.status(status).json({ message: error instanceof Error ? error.message : 'refused' });
  };
}

/** Ours and the body parser's errors carry the status they mean. */
function statusOf(error: unknown): number {
  const status = (error as { status?: unknown } | undefined)?.status;
  return typeof status === 'number' && status >= 400 && status < 500 ? status : 500;
}
