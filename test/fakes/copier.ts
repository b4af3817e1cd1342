/**
 * A copier for tests of the controller: it records orders and answers from an upstream and store in memory.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { once } from 'node:events';
import {
  CHECK_PATH,
  type CheckAnswerJson,
  checkOrderSchema,
  COPY_PATH,
  type CopyEventJson,
  copyOrderSchema,
  DELETE_PATH,
  deleteOrderSchema,
  parseMessage,
  VERIFY_PATH,
  type VerifyAnswerJson,
  verifyOrderSchema,
} from '../../api/copier-api.ts';
import { formatPlatform } from '../../registry/core/platform.ts';
import { formatReference, type Reference } from '../../registry/core/reference.ts';

export interface RecordedCopy {
  readonly image: string;
  readonly tenant?: string;
  readonly platforms: readonly string[];
  readonly pullSecrets: readonly string[];
  readonly referrers?: boolean;
}

export const FAKE_DIGEST = `sha256:${'a'.repeat(64)}`;

export class FakeCopier {
  readonly copies: RecordedCopy[] = [];
  readonly checks: string[] = [];
  /** `tenant/image`, or the image alone. */
  readonly removals: string[] = [];
  /** Images whose copy fails, and how. */
  readonly failures = new Map<string, Extract<CopyEventJson, { type: 'failed' }>>();
  /** Digests at upstream. A name that is missing has {@link FAKE_DIGEST}; undefined: the image is gone. */
  readonly upstream = new Map<string, string | undefined>();
  /** Digests in the store, by `tenant/image`. */
  readonly stored = new Map<string, string>();
  /** Awaited before each copy. */
  beforeCopy: () => Promise<void> = () => Promise.resolve();
  /** Awaited before each removal. */
  beforeRemoval: () => Promise<void> = () => Promise.resolve();
  readonly #server: Server;

  constructor(tls: { readonly cert: Buffer; readonly key: Buffer }) {
    this.#server = createServer(tls, (request, response) => void this.#answer(request, response));
  }

  async listen(port: number): Promise<void> {
    this.#server.listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    const json: unknown = JSON.parse(body);
    const answers: Record<string, () => object | Promise<object | undefined>> = {
      [COPY_PATH]: () => this.#copy(json),
      [CHECK_PATH]: () => this.#check(json),
      [VERIFY_PATH]: () => this.#verify(json),
      [DELETE_PATH]: () => this.#remove(json),
    };
    const answer = await answers[request.url ?? '']?.();
    if (answer === undefined) response.writeHead(204).end();
    else response.writeHead(200).end(`${JSON.stringify(answer)}\n`);
  }

  async #copy(json: unknown): Promise<CopyEventJson> {
    const { image, tenant, platforms, pullSecrets, referrers } = parseMessage(copyOrderSchema, json);
    const name = formatReference(image);
    const order = {
      image: name,
      platforms: platforms.map(formatPlatform),
      pullSecrets,
      ...(referrers === undefined ? {} : { referrers }),
    };
    this.copies.push(tenant === undefined ? order : { ...order, tenant });
    await this.beforeCopy();
    const failure = this.failures.get(name);
    if (failure !== undefined) return failure;
    const digest = this.#digestOf(image) ?? FAKE_DIGEST;
    this.stored.set(keyOf(name, tenant), digest);
    return { type: 'done', digest, sizeBytes: 73_400_320, platforms: order.platforms };
  }

  #check(json: unknown): CheckAnswerJson {
    const { image } = parseMessage(checkOrderSchema, json);
    this.checks.push(formatReference(image));
    const digest = this.#digestOf(image);
    return digest === undefined
      ? { upstream: 'Unavailable', reason: 'NotFound', message: 'the registry has no such image' }
      : { upstream: 'Available', digest };
  }

  #verify(json: unknown): VerifyAnswerJson {
    const { image, tenant, platforms } = parseMessage(verifyOrderSchema, json);
    const digest = this.stored.get(keyOf(formatReference(image), tenant));
    if (digest === undefined) return { complete: false, missing: [] };
    return { complete: true, digest, sizeBytes: 73_400_320, platforms: platforms.map(formatPlatform) };
  }

  async #remove(json: unknown): Promise<undefined> {
    const { image, tenant } = parseMessage(deleteOrderSchema, json);
    const key = keyOf(formatReference(image), tenant);
    await this.beforeRemoval();
    this.removals.push(key);
    this.stored.delete(key);
  }

  #digestOf(image: Reference): string | undefined {
    const name = formatReference(image);
    return this.upstream.has(name) ? this.upstream.get(name) : (image.digest ?? FAKE_DIGEST);
  }
}

function keyOf(image: string, tenant: string | undefined): string {
  return tenant === undefined ? image : `${tenant}/${image}`;
}
