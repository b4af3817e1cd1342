/** The copier's server: checks who calls, then serves a pull or carries out an order. */
import type { IncomingMessage, RequestListener } from 'node:http';
import { UPSTREAM_REASON_HEADER } from '../../api/copier-headers.ts';
import type { Logger } from '../../platform/log.ts';
import { RegistryError } from '../../registry/core/errors.ts';
import { type Exchange, REQUEST_ID_HEADER, requestHandler } from '../../registry/server/request-handler.ts';
import type { CopierMetrics } from '../metrics.ts';
import type { Orders } from '../orders/orders.ts';
import { UpstreamFailure } from '../upstream/upstream-failure.ts';
import { serveOrder } from './order-api.ts';
import { servePull, type PullApiOptions } from './pull-api.ts';
import type { TokenVerifier } from './token-verifier.ts';

export interface CopierServerOptions extends PullApiOptions {
  readonly verifier: Pick<TokenVerifier, 'verify'>;
  readonly orders: Orders;
  readonly metrics: CopierMetrics;
  readonly log: Logger;
}

const ORDER_PREFIX = '/larder/v1/';

export function copierHandler(options: CopierServerOptions): RequestListener {
  const { metrics, log } = options;
  return requestHandler({
    serve: (exchange) => serve(options, exchange),
    notes: (request) => ({ kind: isOrder(request) ? 'order' : 'pull' }),
    // A proxy's, so that its log and ours tell of the same request.
    requestId,
    errorHeaders,
    observe: metrics.observe,
    log,
  });
}

async function serve(options: CopierServerOptions, exchange: Exchange): Promise<void> {
  const { request } = exchange;
  const role = await options.verifier.verify(request.headers.authorization);
  if (!isOrder(request)) return servePull(options, exchange);
  if (role !== 'operator')
    throw new RegistryError('this ServiceAccount may not order', { reason: 'Forbidden' });
  await serveOrder(options, exchange);
}

function isOrder({ url }: IncomingMessage): boolean {
  return url?.startsWith(ORDER_PREFIX) ?? false;
}

function requestId({ headers }: IncomingMessage): string | undefined {
  const id = headers[REQUEST_ID_HEADER];
  return typeof id === 'string' ? id : undefined;
}

function errorHeaders(error: unknown): Record<string, string> {
  return error instanceof UpstreamFailure ? { [UPSTREAM_REASON_HEADER]: error.reason } : {};
}
