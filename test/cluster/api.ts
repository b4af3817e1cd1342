/**
 * The cluster's Kubernetes API over kept-alive connections: tests read it too often to start a `kubectl` each
 * time.
 */
import { Agent, request } from 'undici';
import { readKubeconfig } from './kubeconfig.ts';

/** Which objects of a type: one by name, or a list of those that match. */
export interface Place {
  readonly namespace?: string;
  readonly name?: string;
  /** By labels. */
  readonly selector?: string;
  /** By fields. */
  readonly fields?: string;
}

interface Applied {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

/** The field manager, as the API server records it in `managedFields`. */
const MANAGER = 'larder-tests';
/** In case the API server hangs. */
const DEADLINE_MS = 20_000;

/** The API server refused; the message is the server's. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;

  constructor(path: string, status: number, body: string) {
    super(`${path}: ${messageOf(body)} (${status})`);
    this.status = status;
  }
}

export class KubeApi {
  readonly #server: string;
  readonly #agent: Agent;

  /** @param kubeconfig path of one that `writeKubeconfig` wrote */
  constructor(kubeconfig: string) {
    const { server, ca, cert, key } = readKubeconfig(kubeconfig);
    this.#server = server;
    this.#agent = new Agent({ connect: { ca, cert, key }, headersTimeout: DEADLINE_MS });
  }

  /**
   * Reads an object, or a list if no name is given; the caller declares its type.
   * @param type as in its path: `v1/pods`, `apps/v1/deployments`
   * @throws {ApiError} when there is none
   */
  async read<T>(type: string, { selector, fields, ...place }: Place, signal?: AbortSignal): Promise<T> {
    const query = new URLSearchParams({
      ...(selector === undefined ? {} : { labelSelector: selector }),
      ...(fields === undefined ? {} : { fieldSelector: fields }),
    });
    const search = query.size > 0 ? `?${query.toString()}` : '';
    return JSON.parse(await this.raw(pathOf(type, place) + search, signal)) as T;
  }

  /** What the API server answers at a path. @throws {ApiError} when it refuses */
  async raw(path: string, signal?: AbortSignal): Promise<string> {
    return await this.#ask(path, { method: 'GET' }, signal);
  }

  /** Applies an object, taking over fields that others manage. @throws {ApiError} when it is refused */
  async apply(object: object, signal?: AbortSignal): Promise<void> {
    const { apiVersion, kind, metadata } = object as Applied;
    const path = pathOf(`${apiVersion}/${pluralOf(kind)}`, metadata);
    const headers = { 'content-type': 'application/apply-patch+yaml' };
    const options = { method: 'PATCH', headers, body: JSON.stringify(object) } as const;
    await this.#ask(`${path}?fieldManager=${MANAGER}&force=true`, options, signal);
  }

  async close(): Promise<void> {
    await this.#agent.close();
  }

  async #ask(
    path: string,
    options: { method: 'GET' | 'PATCH'; headers?: Record<string, string>; body?: string },
    signal?: AbortSignal,
  ): Promise<string> {
    const { statusCode, body } = await request(new URL(path, this.#server), {
      ...options,
      dispatcher: this.#agent,
      ...(signal ? { signal } : {}),
    });
    const text = await body.text();
    if (statusCode >= 300) throw new ApiError(path, statusCode, text);
    return text;
  }
}

function pathOf(type: string, { namespace, name }: Pick<Place, 'namespace' | 'name'>): string {
  const [plural = '', ...version] = type.split('/').reverse();
  const root = version.length > 1 ? '/apis' : '/api';
  const space = namespace === undefined ? [] : ['namespaces', namespace];
  return [root, ...version.reverse(), ...space, plural, ...(name === undefined ? [] : [name])].join('/');
}

/** The default plural of a kind, as Kubernetes forms it. */
function pluralOf(kind: string): string {
  const singular = kind.toLowerCase();
  if (singular.endsWith('y')) return `${singular.slice(0, -1)}ies`;
  return singular.endsWith('s') ? `${singular}es` : `${singular}s`;
}

function messageOf(body: string): string {
  try {
    return (JSON.parse(body) as { message: string }).message;
  } catch {
    return body;
  }
}
