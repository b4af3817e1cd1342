/** The webhook on HTTP: one route that answers AdmissionReviews. */
import express, { type ErrorRequestHandler, type Express } from 'express';
import { answer, type AnswerOptions } from './answer.ts';

/** A Pod may have 1.5 MB in etcd; a review of an update holds it twice, in JSON. */
const BODY_LIMIT = '8mb';

/** `POST /mutate`. A body that is no AdmissionReview is answered 400, one that is too large 413, one that is not declared as JSON 415. */
export function webhookApp(options: AnswerOptions): Express {
  const app = express().disable('x-powered-by').disable('etag');
  app.post('/mutate', express.text({ type: 'application/json', limit: BODY_LIMIT }), (req, res) => {
    const body: unknown = req.body;
    if (typeof body !== 'string') {
      res.status(415).json({ message: 'the body has to be application/json' });
      return;
    }
    const end = options.metrics.duration.startTimer();
    res.json(answer(body, options));
    end();
  });
  app.use((_req, res) => {
    res.status(404).json({ message: 'there is only POST /mutate' });
  });
  app.use(errorHandler(options));
  return app;
}

function errorHandler({ metrics, log }: AnswerOptions): ErrorRequestHandler {
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
