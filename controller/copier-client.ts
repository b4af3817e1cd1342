/** Orders to the copier over TLS: what it answers as domain values, what goes wrong as one typed error. */
import { Agent, request } from 'undici';
import type { Dispatcher } from 'undici';
import { COPY_PATH, copyEventSchema, parseMessage } from '../api/copier-api.ts';
import type { CopyEvent, CopyOrderJson } from '../api/copier-api.ts';
import type { ReadyReason } from '../api/reasons.ts';
import { formatReference } from '../registry/core/reference.ts';
import type { CopyProgress, CopyRequest, CopyResult } from './copy-state.ts';
import { lines } from './lines.ts';

export interface CopierClientOptions {
  readonly url: URL;
  /** The name in the copier's certificate; the URL only holds an address. */
  readonly serverName: string;
  /** The CAs to trust, PEM; asked at every order, for they are renewed. */
  readonly ca: () => string;
  /** Our ServiceAccount token; asked at every order, for it is renewed. */
  readonly token: () => Promise<string>;
  /** How long the copier may take to answer, and to be silent afterwards, in milliseconds. */
  readonly silenceMs: number;
}

/** An order that was not carried out. `message` is fit for users. */
export class OrderFailed extends Error {
  override readonly name = 'OrderFailed';
  readonly reason: ReadyReason;
  readonly retryAfterSeconds: number | undefined;

  constructor(
    message: string,
    reason: ReadyReason,
    options: { cause?: unknown; retryAfterSeconds?: number } = {},
  ) {
    super(message, { cause: options.cause });
    this.reason = reason;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

/** Copies an image; aborting the signal cancels the order at the copier as well. */
export type Copy = (
  request: CopyRequest,
  options: { readonly signal: AbortSignal; readonly onProgress: (progress: CopyProgress) => void },
) => Promise<CopyResult>;

export class CopierClient {
  private readonly options: CopierClientOptions;
  private agent: { readonly ca: string; readonly dispatcher: Agent } | undefined;

  constructor(options: CopierClientOptions) {
    this.options = options;
  }

  /** @throws OrderFailed; the signal's reason when it was aborted */
  readonly copy: Copy = async (order, { signal, onProgress }) => {
    const body = await this.post(COPY_PATH, orderJson(order), signal);
    try {
      for await (const line of lines(body)) {
        const event = parseEvent(line);
        if (event.type === 'done') return event;
        if (event.type === 'failed') throw failureOf(event);
        onProgress(event);
      }
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof OrderFailed ? error : unavailable('the copier broke off its answer', error);
    }
    throw unavailable('the copier ended its answer before the copy was done');
  };

  async close(): Promise<void> {
    await this.agent?.dispatcher.close();
  }

  private async post(
    path: string,
    order: object,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData['body']> {
    const answer = await this.send(path, order, signal);
    if (answer.statusCode === 200) return answer.body;
    await answer.body.dump();
    if (answer.statusCode === 400)
      throw new OrderFailed('the copier does not understand the order', 'Internal');
    throw unavailable(`the copier answered with status ${answer.statusCode}`);
  }

  private async send(path: string, order: object, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    try {
      return await request(new URL(path, this.options.url), {
        dispatcher: this.dispatcher(),
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          authorization: `Bearer ${await this.options.token()}`,
        },
        body: JSON.stringify(order),
        headersTimeout: this.options.silenceMs,
        bodyTimeout: this.options.silenceMs,
        signal,
      });
    } catch (error) {
      signal.throwIfAborted();
      throw unavailable('the copier cannot be reached', error);
    }
  }

  private dispatcher(): Dispatcher {
    const ca = this.options.ca();
    if (this.agent?.ca !== ca) {
      // Orders under way keep the old one until they end.
      void this.agent?.dispatcher.close();
      const connect = { ca, servername: this.options.serverName, timeout: 5_000 };
      this.agent = { ca, dispatcher: new Agent({ connect }) };
    }
    return this.agent.dispatcher;
  }
}

function orderJson({ reference, tenant, platforms, pullSecrets }: CopyRequest): CopyOrderJson {
  return {
    image: formatReference(reference),
    ...(tenant === undefined ? {} : { tenant }),
    platforms: [...platforms],
    pullSecrets: [...pullSecrets],
  };
}

function parseEvent(line: string): CopyEvent {
  return parseMessage(copyEventSchema, JSON.parse(line));
}

function failureOf({
  message,
  reason,
  retryAfterSeconds,
}: Extract<CopyEvent, { type: 'failed' }>): OrderFailed {
  return new OrderFailed(message, reason, retryAfterSeconds === undefined ? {} : { retryAfterSeconds });
}

function unavailable(message: string, cause?: unknown): OrderFailed {
  return new OrderFailed(message, 'CopierUnavailable', { cause });
}
