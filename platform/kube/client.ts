/**
 * A small typed client for the Kubernetes API: the same verbs for every resource type, over one connection
 * pool.
 */
import { type Dispatcher, request } from 'undici';
import { withDeadline } from '../deadline.ts';
import type { Connection } from './connection.ts';
import { KubeError } from './error.ts';
import { apiVersionOf, pathOf, type KubeObject, type ObjectRef, type Resource } from './resource.ts';

const DEFAULT_DEADLINE_MS = 15_000;

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** For the whole response, default 15 s. */
  readonly deadlineMs?: number;
}

export interface ListOptions extends CallOptions {
  /** All namespaces when absent. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  /** Objects per page; `continue` of the response asks for the next page. */
  readonly limit?: number;
  readonly continue?: string | undefined;
}

export interface WriteOptions extends CallOptions {
  readonly subresource?: 'status' | 'scale' | 'ephemeralcontainers';
}

export interface DeleteOptions extends CallOptions {
  /** Deletes this very object, not a later one of the same name. */
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan';
}

export interface ObjectList<T> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
  readonly continue: string | undefined;
}

/** `merge` is RFC 7386, `json` RFC 6902, `apply` server-side apply. */
export type Patch =
  | { readonly type: 'merge'; readonly body: object }
  | { readonly type: 'json'; readonly body: readonly object[] }
  | {
      readonly type: 'apply';
      readonly body: object;
      readonly fieldManager: string;
      readonly force?: boolean;
    };

const CONTENT_TYPES = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  apply: 'application/apply-patch+yaml',
} as const satisfies Record<Patch['type'], string>;

interface Call extends CallOptions {
  readonly method: Dispatcher.HttpMethod;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body?: unknown;
  readonly contentType?: string;
}

export interface ClientHooks {
  /** Called right before anything but a GET is sent. If it throws, the request is not sent. */
  readonly beforeWrite?: () => void;
  /** Called when the head of a response arrives. */
  readonly onAnswer?: (method: string, status: number) => void;
}

/**
 * Every method throws {@link KubeError} when the request fails, and `DeadlineError` when it takes too long.
 */
export class KubeClient {
  readonly #connection: Connection;
  readonly #userAgent: string;
  readonly #hooks: ClientHooks;

  /** @param userAgent our name in the API server's audit log, e.g. `larder-controller` */
  constructor(connection: Connection, userAgent: string, hooks: ClientHooks = {}) {
    this.#connection = connection;
    this.#userAgent = userAgent;
    this.#hooks = hooks;
  }

  /**
   * A client that calls `beforeWrite` right before it sends anything but a GET. If that throws, the request
   * is not sent.
   */
  fenced(beforeWrite: () => void): KubeClient {
    return new KubeClient(this.#connection, this.#userAgent, { ...this.#hooks, beforeWrite });
  }

  async get<T extends KubeObject>(
    resource: Resource<T>,
    ref: ObjectRef,
    options: CallOptions = {},
  ): Promise<T> {
    return this.#object(resource, { ...options, method: 'GET', path: pathOf(resource, ref) });
  }

  /** One page. Objects that the resource's decoder refuses are left out. */
  async list<T extends KubeObject>(resource: Resource<T>, options: ListOptions = {}): Promise<ObjectList<T>> {
    const { namespace, labelSelector, fieldSelector, limit, continue: next, ...call } = options;
    const raw = (await this.#call({
      deadlineMs: 60_000,
      ...call,
      method: 'GET',
      path: pathOf(resource, namespace === undefined ? {} : { namespace }),
      query: { labelSelector, fieldSelector, limit, continue: next },
    })) as { items?: unknown[]; metadata?: { resourceVersion?: string; continue?: string } };
    return {
      items: (raw.items ?? []).map((item) => resource.decode(item)).filter((item) => item !== undefined),
      resourceVersion: raw.metadata?.resourceVersion ?? '',
      continue: raw.metadata?.continue || undefined,
    };
  }

  /** All pages of a list, of at most `limit` (default 500) objects each. */
  async listAll<T extends KubeObject>(
    resource: Resource<T>,
    options: Omit<ListOptions, 'continue'> = {},
  ): Promise<{ items: T[]; resourceVersion: string }> {
    const items: T[] = [];
    let next: string | undefined;
    for (;;) {
      const page = await this.list(resource, { limit: 500, ...options, continue: next });
      items.push(...page.items);
      next = page.continue;
      if (next === undefined) return { items, resourceVersion: page.resourceVersion };
    }
  }

  /** Creates the object in its own namespace; `apiVersion` and `kind` are filled in. */
  async create<T extends KubeObject>(
    resource: Resource<T>,
    object: T,
    options: WriteOptions = {},
  ): Promise<T> {
    const { namespace } = object.metadata ?? {};
    const path = pathOf(resource, namespace === undefined ? {} : { namespace }, options.subresource);
    return this.#object(resource, { ...options, method: 'POST', path, body: typed(resource, object) });
  }

  /**
   * Replaces the whole object. With a `resourceVersion` in it the server answers 409 if the object has
   * changed meanwhile.
   */
  async replace<T extends KubeObject>(
    resource: Resource<T>,
    object: T,
    options: WriteOptions = {},
  ): Promise<T> {
    const path = pathOf(resource, refOf(object), options.subresource);
    return this.#object(resource, { ...options, method: 'PUT', path, body: typed(resource, object) });
  }

  async patch<T extends KubeObject>(
    resource: Resource<T>,
    ref: ObjectRef,
    patch: Patch,
    options: WriteOptions = {},
  ): Promise<T> {
    const apply = patch.type === 'apply';
    return this.#object(resource, {
      ...options,
      method: 'PATCH',
      path: pathOf(resource, ref, options.subresource),
      query: apply ? { fieldManager: patch.fieldManager, force: patch.force } : {},
      body: apply ? typed(resource, patch.body) : patch.body,
      contentType: CONTENT_TYPES[patch.type],
    });
  }

  /** Resolves when the deletion is accepted; finalizers may keep the object for a while. */
  async delete(resource: Resource<KubeObject>, ref: ObjectRef, options: DeleteOptions = {}): Promise<void> {
    const { uid, resourceVersion, propagationPolicy, ...call } = options;
    const preconditions = { uid, resourceVersion };
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy, preconditions };
    await this.#call({ ...call, method: 'DELETE', path: pathOf(resource, ref), body });
  }

  /**
   * The body of a GET that may go on for long, such as a watch. Aborting `signal` ends it.
   * @param deadlineMs for the head
   */
  async stream(
    path: string,
    query: Call['query'],
    signal: AbortSignal,
    deadlineMs = DEFAULT_DEADLINE_MS,
  ): Promise<Dispatcher.ResponseData['body']> {
    const what = `GET ${path}`;
    const answer = await withDeadline(`the head of ${what}`, deadlineMs, signal, (headSignal) =>
      // The deadline counts until the head is there; afterwards only the caller's signal ends the body.
      this.#send({ method: 'GET', path, ...(query ? { query } : {}) }, AbortSignal.any([headSignal, signal])),
    );
    if (answer.statusCode < 300) return answer.body;
    throw KubeError.fromAnswer(what, answer.statusCode, await answer.body.text());
  }

  async #object<T extends KubeObject>(resource: Resource<T>, call: Call): Promise<T> {
    const object = resource.decode(await this.#call(call));
    if (object !== undefined) return object;
    throw new KubeError(`${call.method} ${call.path}`, {
      status: 200,
      reason: 'Unreadable',
      message: `the response is not a readable ${resource.kind}`,
    });
  }

  async #call(call: Call): Promise<unknown> {
    const what = `${call.method} ${call.path}`;
    return withDeadline(what, call.deadlineMs ?? DEFAULT_DEADLINE_MS, call.signal, async (signal) => {
      const answer = await this.#send(call, signal);
      const text = await answer.body.text().catch((error: unknown) => {
        throw signal.aborted ? error : KubeError.unreachable(what, error);
      });
      if (answer.statusCode < 300) return text === '' ? {} : (JSON.parse(text) as unknown);
      throw KubeError.fromAnswer(what, answer.statusCode, text, String(answer.headers['retry-after'] ?? ''));
    });
  }

  async #send(call: Call, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const url = new URL(
      this.#connection.server.pathname.replace(/\/$/, '') + call.path,
      this.#connection.server,
    );
    for (const [name, value] of Object.entries(call.query ?? {})) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    const body = call.body === undefined ? undefined : JSON.stringify(call.body);
    const what = `${call.method} ${call.path}`;
    const unreachable = (error: unknown): never => {
      throw signal.aborted ? error : KubeError.unreachable(what, error);
    };
    const [dispatcher, credentials] = await Promise.all([
      this.#connection.dispatcher(),
      this.#connection.headers(),
    ]).catch(unreachable);
    if (call.method !== 'GET') this.#hooks.beforeWrite?.();
    const answer = await request(url, {
      method: call.method,
      dispatcher,
      signal,
      headers: {
        ...credentials,
        // Key sets and metrics have media types of their own, and the API server refuses what Accept does not
        // cover.
        accept: 'application/json, */*;q=0.5',
        'user-agent': this.#userAgent,
        ...(body === undefined ? {} : { 'content-type': call.contentType ?? 'application/json' }),
      },
      ...(body === undefined ? {} : { body }),
    }).catch(unreachable);
    this.#hooks.onAnswer?.(call.method, answer.statusCode);
    return answer;
  }
}

function typed(resource: Resource<KubeObject>, object: object): object {
  return { ...object, apiVersion: apiVersionOf(resource), kind: resource.kind };
}

function refOf(object: KubeObject): ObjectRef {
  const { name = '', namespace } = object.metadata ?? {};
  return namespace === undefined ? { name } : { name, namespace };
}
