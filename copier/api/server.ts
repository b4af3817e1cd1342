/** The copier's door: who calls is checked here, and every request is answered, logged and counted here. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from '../../platform/log.ts';
import { RegistryError } from '../../registry/core/errors.ts';
import type { Authenticator } from './callers.ts';
import type { CopierMetrics } from '../metrics.ts';
import { serveOrder } from './order-api.ts';
import type { Orders } from '../images/orders.ts';
import { sendError, servePull, type PullApiOptions } from './pull-api.ts';

export interface CopierServerOptions extends PullApiOptions {
  readonly authenticator: Pick<Authenticator, 'authenticate'>;
  readonly orders: Orders;
  readonly metrics: CopierMetrics;
  readonly log: Logger;
}

const ORDER_PREFIX = '/larder/v1/';

export function copierHandler(
  options: CopierServerOptions,
): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    const startedAt = performance.now();
    const gone = new AbortController();
    let failure: unknown;
    response.on('close', () => {
      gone.abort(new RegistryError('the client has gone', { reason: 'Canceled' }));
      report(options, request, response, { failure, seconds: (performance.now() - startedAt) / 1_000 });
    });
    answer(options, request, response, gone.signal).catch((error: unknown) => {
      failure = error;
      sendError(response, error);
    });
  };
}

async function answer(
  options: CopierServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const role = await options.authenticator.authenticate(request.headers.authorization);
  const exchange = { request, response, signal };
  if (!request.url?.startsWith(ORDER_PREFIX)) {
    await servePull(options, exchange);
    return;
  }
  if (role !== 'operator')
    throw new RegistryError('this ServiceAccount may not order', { reason: 'Forbidden' });
  await serveOrder(options, exchange);
}

function report(
  { log, metrics }: CopierServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
  { failure, seconds }: { failure: unknown; seconds: number },
): void {
  const complete = response.writableFinished;
  const kind = request.url?.startsWith(ORDER_PREFIX) ? 'order' : 'pull';
  metrics.observe({ kind, status: response.statusCode, complete, seconds });
  log.info('request', {
    requestId: request.headers['x-request-id'],
    method: request.method,
    path: request.url,
    status: response.statusCode,
    complete,
    totalMs: Math.round(seconds * 1_000),
    ...(failure === undefined ? {} : { error: failure instanceof RegistryError ? failure.message : failure }),
  });
}
