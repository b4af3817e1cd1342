/** The HTTP side of orders (docs/contracts.md, "The copier's API"): JSON in, JSON or JSON lines out. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  CHECK_PATH,
  checkOrderSchema,
  COPY_PATH,
  copyOrderSchema,
  DELETE_PATH,
  deleteOrderSchema,
  parseMessage,
  VERIFY_PATH,
  verifyOrderSchema,
  type CopyEventJson,
} from '../../api/copier-api.ts';
import { repositoryOf } from '../../api/stored-image.ts';
import { RegistryError } from '../../registry/core/errors.ts';
import { methodNotAllowed } from '../../registry/server/oci-error.ts';
import type { Exchange } from '../../registry/server/request-handler.ts';
import type { CopyProgress } from '../../registry/copy/progress.ts';
import type { Orders } from '../orders/orders.ts';
import { redirectToOwner, type Placement } from './placement.ts';

const MAX_BODY_BYTES = 256 * 1024;
/** Often enough to keep the connection alive while a registry takes its time. */
const PROGRESS_MS = 1_000;

export interface OrderApiOptions {
  readonly orders: Orders;
  readonly placement: Placement;
}

type Handler = (options: OrderApiOptions, body: unknown, exchange: Exchange) => Promise<void>;

const HANDLERS: Readonly<Record<string, Handler>> = {
  [COPY_PATH]: async ({ orders, placement }, body, exchange) => {
    const { response, signal } = exchange;
    const order = parseMessage(copyOrderSchema, body);
    // Goes to the replica that serves pulls of the image, so that nothing is fetched twice.
    const repository = repositoryOf({ reference: order.image, tenant: order.tenant });
    if (redirectToOwner(placement, exchange, repository)) return;
    await streamCopy(response, (onProgress) => orders.copy(order, onProgress, signal));
  },
  [CHECK_PATH]: async ({ orders }, body, { response, signal }) => {
    sendJson(response, await orders.check(parseMessage(checkOrderSchema, body), signal));
  },
  [VERIFY_PATH]: async ({ orders }, body, { response, signal }) => {
    sendJson(response, await orders.verify(parseMessage(verifyOrderSchema, body), signal));
  },
  [DELETE_PATH]: async ({ orders }, body, { response, signal }) => {
    await orders.delete(parseMessage(deleteOrderSchema, body), signal);
    response.writeHead(204).end();
  },
};

/** @throws RegistryError to be answered with an OCI error */
export async function serveOrder(options: OrderApiOptions, exchange: Exchange): Promise<void> {
  const { request } = exchange;
  const handler = Object.hasOwn(HANDLERS, request.url ?? '') ? HANDLERS[request.url ?? ''] : undefined;
  if (handler === undefined)
    throw new RegistryError('no such order', { reason: 'NotFound', code: 'UNSUPPORTED' });
  if (request.method !== 'POST') throw methodNotAllowed('POST');
  await handler(options, await readJson(request), exchange);
}

async function streamCopy(
  response: ServerResponse,
  copy: (onProgress: (progress: CopyProgress) => void) => Promise<CopyEventJson>,
): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  response.flushHeaders();
  const send = (event: CopyEventJson): void => {
    response.write(`${JSON.stringify(event)}\n`);
  };
  let latest: CopyProgress = { completedBytes: 0, totalBytes: 0 };
  const timer = setInterval(() => {
    send({ type: 'progress', ...latest });
  }, PROGRESS_MS);
  try {
    const last = await copy((progress) => {
      latest = progress;
    });
    if (latest.totalBytes > 0) send({ type: 'progress', ...latest });
    send(last);
  } finally {
    clearInterval(timer);
    response.end();
  }
}

function sendJson(response: ServerResponse, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.byteLength;
    if (size > MAX_BODY_BYTES) throw badOrder('an order is at most 256 KiB long', 413);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw badOrder('the order is not JSON', 400);
  }
}

function badOrder(message: string, status: number): RegistryError {
  return new RegistryError(message, { reason: 'Invalid', code: 'UNSUPPORTED', status });
}
