/**
 * List and watch as one endless stream, which survives disconnections, expired versions and a silent server.
 */
import { TextDecoder } from 'node:util';
import { backoffMs, type BackoffPolicy } from '../backoff.ts';
import { systemClock, type Clock } from '../clock.ts';
import { SilenceGuard } from '../deadline.ts';
import type { Logger } from '../log.ts';
import type { KubeClient } from './client.ts';
import { isGone, KubeError } from './error.ts';
import { pathOf, type KubeObject, type Resource } from './resource.ts';

/** `reset` replaces all objects; the others change one. */
export type WatchEvent<T> =
  | { readonly type: 'reset'; readonly objects: readonly T[] }
  | { readonly type: 'upsert'; readonly object: T }
  | { readonly type: 'delete'; readonly object: T };

export interface WatchOptions {
  readonly signal: AbortSignal;
  readonly log: Logger;
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  readonly backoff?: BackoffPolicy;
  /**
   * A watch that brings nothing for this long, not even the bookmark of every minute, is opened again.
   * Default 100 s.
   */
  readonly silenceMs?: number;
  readonly clock?: Clock;
  readonly random?: () => number;
}

/** We ask the server to end each watch after one to two times this long. */
const WATCH_SECONDS = 300;
const MIN_WATCH_MS = 1_000;
const DEFAULT_BACKOFF: BackoffPolicy = { baseMs: 200, maxMs: 30_000 };

/**
 * Lists the objects, then follows their changes. Ends only when the signal is aborted, by throwing its
 * reason. Any other failure is logged and retried with jittered backoff, from the last version seen if the
 * server still knows it, else with a new list. Bookmarks keep that version recent.
 */
export async function* listAndWatch<T extends KubeObject>(
  client: KubeClient,
  resource: Resource<T>,
  options: WatchOptions,
): AsyncGenerator<WatchEvent<T>, never> {
  const { signal, log, backoff = DEFAULT_BACKOFF, clock = systemClock, random = Math.random } = options;
  const { namespace, labelSelector, fieldSelector } = options;
  let version: string | undefined;
  let failures = 0;
  for (;;) {
    signal.throwIfAborted();
    try {
      if (version === undefined) {
        const listed = await client.listAll(resource, { namespace, labelSelector, fieldSelector, signal });
        yield { type: 'reset', objects: listed.items };
        version = listed.resourceVersion;
      }
      const startedAt = clock.monotonic();
      for await (const change of watchOnce(client, resource, version, options)) {
        failures = 0;
        version = change.version;
        if (change.event) yield change.event;
      }
      // Do not ask in a tight loop when the server ends every watch at once.
      if (clock.monotonic() - startedAt < MIN_WATCH_MS) throw new Error('the watch ended at once');
    } catch (error) {
      signal.throwIfAborted();
      if (isGone(error)) version = undefined;
      const waitMs = Math.max(backoffMs(failures, backoff, random), retryAfterOf(error));
      failures += 1;
      log.warn('watch interrupted', {
        resource: resource.plural,
        relist: version === undefined,
        waitMs,
        error,
      });
      await clock.sleep(waitMs, signal);
    }
  }
}

interface Change<T> {
  readonly version: string;
  /** Undefined for a bookmark, and for an object that cannot be read. */
  readonly event: WatchEvent<T> | undefined;
}

interface RawEvent {
  readonly type: string;
  readonly object: { readonly metadata?: { readonly resourceVersion?: string } };
}

async function* watchOnce<T extends KubeObject>(
  client: KubeClient,
  resource: Resource<T>,
  resourceVersion: string,
  options: WatchOptions,
): AsyncGenerator<Change<T>, void> {
  const { namespace, labelSelector, fieldSelector, signal, silenceMs = 100_000 } = options;
  const path = pathOf(resource, namespace === undefined ? {} : { namespace });
  const timeoutSeconds = Math.round(WATCH_SECONDS * (1 + (options.random ?? Math.random)()));
  const query = {
    watch: 1,
    allowWatchBookmarks: true,
    resourceVersion,
    timeoutSeconds,
    labelSelector,
    fieldSelector,
  };
  const guard = new SilenceGuard(`the next event of ${resource.plural}`, silenceMs, signal);
  let opened = false;
  try {
    const body = await client.stream(path, query, guard.signal);
    opened = true;
    for await (const line of lines(body)) {
      guard.touch();
      const raw = JSON.parse(line) as RawEvent;
      if (raw.type === 'ERROR') throw statusError(`watch ${path}`, raw.object);
      yield {
        version: raw.object.metadata?.resourceVersion ?? resourceVersion,
        event: decode(resource, raw),
      };
    }
  } catch (error) {
    // Silence is not a failure yet: a type that seldom changes may get no bookmarks either. If the server is
    // gone, the next watch fails.
    if (opened && guard.signal.aborted && !signal.aborted) {
      options.log.debug('watch silent, opening it again', { resource: resource.plural });
      return;
    }
    // The stream has its own error for an abort; the reason says more.
    throw guard.signal.aborted ? guard.signal.reason : error;
  } finally {
    guard.close();
  }
}

function decode<T extends KubeObject>(resource: Resource<T>, raw: RawEvent): WatchEvent<T> | undefined {
  if (raw.type === 'BOOKMARK') return undefined;
  const object = resource.decode(raw.object);
  if (object === undefined) return undefined;
  return { type: raw.type === 'DELETED' ? 'delete' : 'upsert', object };
}

function statusError(what: string, status: object): KubeError {
  const code = (status as { code?: unknown }).code;
  return KubeError.fromAnswer(what, typeof code === 'number' ? code : 500, JSON.stringify(status));
}

function retryAfterOf(error: unknown): number {
  return error instanceof KubeError ? (error.retryAfterMs ?? 0) : 0;
}

/** The complete lines of UTF-8 text. A last line without an end was cut off, and is dropped. */
async function* lines(body: AsyncIterable<Uint8Array>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let pending: string[] = [];
  for await (const chunk of body) {
    const [first = '', ...rest] = decoder.decode(chunk, { stream: true }).split('\n');
    pending.push(first);
    for (const start of rest) {
      const line = pending.join('');
      pending = [start];
      if (line !== '') yield line;
    }
  }
}
