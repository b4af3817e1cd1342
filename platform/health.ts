/** `/healthz`, `/readyz` and `/metrics` of a process. */
import express, { type Express } from 'express';
import { httpServer, type HttpServerComponent, type SharedPort } from './http-server.ts';
import type { Metrics } from './metrics.ts';
import type { ListenAddress } from './settings.ts';

/** Says what keeps the process from being ready; undefined when nothing does. Must not wait or throw. */
export type ReadinessCheck = () => string | undefined;

/** Whether a process may be sent work. */
export class Readiness {
  readonly #checks = new Map<string, ReadinessCheck>();

  constructor(signal: AbortSignal) {
    this.add('shutdown', () => (signal.aborted ? 'the process is stopping' : undefined));
  }

  add(name: string, check: ReadinessCheck): void {
    this.#checks.set(name, check);
  }

  /** The problems by check; empty when ready. */
  problems(): Readonly<Record<string, string>> {
    const found = [...this.#checks].map(([name, check]) => [name, check()] as const);
    return Object.fromEntries(
      found.filter((entry): entry is readonly [string, string] => entry[1] !== undefined),
    );
  }
}

/**
 * Start it first: then it stops last, and says "not ready" while the process drains. Where it shares its
 * address with a successor's, start it last: then it stops first, so that only a process that serves answers
 * there.
 */
export function healthServer(options: {
  readonly address: ListenAddress;
  readonly metrics: Metrics;
  readonly readiness: Readiness;
  /** For processes that replace one another at the same address. */
  readonly sharedPort?: SharedPort;
}): HttpServerComponent {
  return httpServer({
    name: 'health',
    handler: healthApp(options),
    addresses: [options.address],
    drainMs: 1_000,
    ...(options.sharedPort ? { sharedPort: options.sharedPort } : {}),
  });
}

function healthApp({ metrics, readiness }: { metrics: Metrics; readiness: Readiness }): Express {
  const app = express().disable('x-powered-by');
  app.get('/healthz', (_req, res) => {
    res.type('text').send('ok\n');
  });
  app.get('/readyz', (_req, res) => {
    const problems = readiness.problems();
    const ready = Object.keys(problems).length === 0;
    res.status(ready ? 200 : 503).json({ ready, problems });
  });
  app.get('/metrics', async (_req, res) => {
    res.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  });
  return app;
}
