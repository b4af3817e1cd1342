/** The webhook's HTTP server: one route that answers AdmissionReviews. */
import type { Server } from 'node:http';
import express, { type ErrorRequestHandler, type Express } from 'express';
import { isCallerPath, REVIEW_PATH } from '../api/admission-caller.ts';
import { respond, type AdmissionOptions } from './admission-response.ts';

/** A Pod may take 1.5 MB in etcd, and the review of an update holds two versions of it as JSON. */
const BODY_LIMIT = '8mb';

/** Longer than the API server keeps an idle connection (90 s), so that none is closed under a request. */
const KEEP_ALIVE_MS = 120_000;

export interface WebhookOptions extends AdmissionOptions {
  /** The token in the path by which the API server calls; undefined while it is not known. */
  readonly callerToken: () => string | undefined;
}

/** The last one is what the API server calls before the controller has written a path. */
const PATHS = [`${REVIEW_PATH}/:token`, REVIEW_PATH, '/'];

/**
 * `POST /mutate/<token>`; a caller without the token gets no name of a private image. Answers 400 to a body that is
 * not an AdmissionReview, 413 to one that is too large, 415 to one not declared as JSON.
 */
export function webhookApp(options: WebhookOptions): Express {
  const app = express().disable('x-powered-by').disable('etag');
  app.post(PATHS, express.text({ type: 'application/json', limit: BODY_LIMIT }), (req, res) => {
    const body: unknown = req.body;
    if (typeof body !== 'string') {
      res.status(415).json({ message: 'the body must be application/json' });
      return;
    }
    const end = options.metrics.duration.startTimer();
    res.json(respond(body, isCallerPath(req.path, options.callerToken()), options));
    end();
  });
  app.use((_req, res) => {
    res.status(404).json({ message: 'there is only POST /mutate' });
  });
  app.use(errorHandler(options));
  return app;
}

/** Leaves it to the API server to close idle connections. */
export function keepIdleConnections(server: Server): void {
  server.keepAliveTimeout = KEEP_ALIVE_MS;
}

function errorHandler({ metrics, log }: AdmissionOptions): ErrorRequestHandler {
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

/** Our own errors and the body parser's carry the status to answer with. */
function statusOf(error: unknown): number {
  const status = (error as { status?: unknown } | undefined)?.status;
  return typeof status === 'number' && status >= 400 && status < 500 ? status : 500;
}
