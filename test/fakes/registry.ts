/**
 * A registry for tests, over real HTTP: the whole distribution API in memory, three ways to log in, faults on
 * demand.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseDigest, verifyDigest } from '../../registry/core/digest.ts';
import { type DistributionPath, parseDistributionPath } from '../../registry/core/distribution-path.ts';
import { RegistryError, toOciErrorBody } from '../../registry/core/errors.ts';
import { OCI_INDEX } from '../../registry/core/media-types.ts';
import { formatContentRange, parseRange } from '../../registry/core/range.ts';
import { FakeRepository } from './registry-content.ts';

export type FakeLogin =
  | { readonly kind: 'none' }
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  /** Tokens from `/token` at the same origin, for everybody when there is no password. */
  | { readonly kind: 'token'; readonly username?: string; readonly password?: string };

export interface FakeRegistryOptions {
  readonly login?: FakeLogin;
  /** Accept an index with missing children. Default true, as in our store. */
  readonly sparseIndexes?: boolean;
}

export interface RecordedRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly authorization: string | undefined;
}

/** Answers instead of the registry and returns true, or returns false to let the request pass. */
export type Intercept = (request: IncomingMessage, response: ServerResponse) => boolean | Promise<boolean>;

export class FakeRegistry {
  readonly requests: RecordedRequest[] = [];
  intercept: Intercept = () => false;
  readonly #options: FakeRegistryOptions;
  readonly #repositories = new Map<string, FakeRepository>();
  readonly #uploads = new Map<string, Buffer[]>();
  readonly #tokens = new Set<string>();
  readonly #server = createServer((request, response) => {
    void this.#serve(request, response);
  });

  private constructor(options: FakeRegistryOptions) {
    this.#options = options;
  }

  static async start(options: FakeRegistryOptions = {}): Promise<FakeRegistry> {
    const registry = new FakeRegistry(options);
    registry.#server.listen(0, '127.0.0.1');
    await once(registry.#server, 'listening');
    return registry;
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get origin(): string {
    return `http://${this.host}`;
  }

  repository(name: string): FakeRepository {
    const repository = this.#repositories.get(name) ?? new FakeRepository();
    this.#repositories.set(name, repository);
    return repository;
  }

  /** The requests with this method whose path ends like this. */
  count(method: string, pathEnd = ''): number {
    return this.requests.filter((request) => request.method === method && request.path.endsWith(pathEnd))
      .length;
  }

  /** Revokes all tokens issued so far. */
  revokeTokens(): void {
    this.#tokens.clear();
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.origin);
    const { method = '' } = request;
    const { authorization } = request.headers;
    this.requests.push({ method, path: url.pathname, query: url.searchParams, authorization });
    try {
      if (await this.intercept(request, response)) return;
      if (url.pathname === '/token') this.#giveToken(authorization, response);
      else if (!this.#isAuthorised(authorization)) this.#challenge(response);
      else if (url.pathname.includes('/blobs/uploads/')) await this.#upload(request, response, url);
      else await this.#content(request, response, parseDistributionPath(url.pathname));
    } catch (error) {
      const status = error instanceof RegistryError ? error.status : 500;
      answer(response, status, {}, JSON.stringify(toOciErrorBody(error)));
    }
  }

  async #content(request: IncomingMessage, response: ServerResponse, path: DistributionPath): Promise<void> {
    if (path.kind === 'base') {
      answer(response, 200);
      return;
    }
    const repository = this.repository(path.name);
    switch (path.kind) {
      case 'manifest':
        await this.#manifest(request, response, path);
        return;
      case 'blob':
        serveBlob(request, response, repository.blobs.get(path.digest));
        return;
      case 'tags':
        answer(response, 200, {}, JSON.stringify({ name: path.name, tags: [...repository.tags.keys()] }));
        return;
      case 'referrers': {
        const manifests = repository.referrers(path.digest);
        const index = JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests });
        answer(response, 200, { 'content-type': OCI_INDEX }, index);
        return;
      }
    }
  }

  async #manifest(
    request: IncomingMessage,
    response: ServerResponse,
    path: Extract<DistributionPath, { kind: 'manifest' }>,
  ): Promise<void> {
    const repository = this.repository(path.name);
    const mediaType = request.headers['content-type'] ?? '';
    if (request.method === 'PUT') {
      const manifest = { bytes: await read(request), mediaType };
      const digest = repository.put(path.reference, manifest, this.#options.sparseIndexes ?? true);
      answer(response, 201, { 'docker-content-digest': digest });
      return;
    }
    const found = repository.find(path.reference);
    if (found === undefined) throw new RegistryError('manifest unknown', { reason: 'NotFound' });
    if (request.method === 'DELETE') {
      repository.delete(path.reference);
      answer(response, 202);
      return;
    }
    const headers = { 'content-type': found.mediaType, 'docker-content-digest': found.digest };
    answer(response, 200, headers, Buffer.from(found.bytes));
  }

  async #upload(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const [, name = '', id = ''] = /^\/v2\/(.+)\/blobs\/uploads\/([^/]*)$/.exec(url.pathname) ?? [];
    const repository = this.repository(name);
    if (request.method === 'POST') {
      this.#beginUpload(response, name, url.searchParams);
      return;
    }
    const parts = this.#uploads.get(id);
    if (parts === undefined) {
      throw new RegistryError('upload unknown', { reason: 'NotFound', code: 'BLOB_UPLOAD_UNKNOWN' });
    }
    if (request.method === 'GET') {
      answer(response, 204, { range: '0-0' });
      return;
    }
    if (request.method === 'DELETE') {
      this.#uploads.delete(id);
      answer(response, 204);
      return;
    }
    parts.push(await read(request));
    if (request.method === 'PATCH') {
      answer(response, 202, { location: `/v2/${name}/blobs/uploads/${id}?_state=2` });
      return;
    }
    const digest = parseDigest(url.searchParams.get('digest') ?? '');
    const bytes = Buffer.concat(parts);
    verifyDigest(bytes, digest);
    this.#uploads.delete(id);
    repository.blobs.set(digest, bytes);
    answer(response, 201, { 'docker-content-digest': digest });
  }

  #beginUpload(response: ServerResponse, name: string, query: URLSearchParams): void {
    const mount = query.get('mount');
    const source = this.#repositories.get(query.get('from') ?? '');
    const found = mount === null ? undefined : source?.blobs.get(parseDigest(mount));
    if (mount !== null && found !== undefined) {
      this.repository(name).blobs.set(parseDigest(mount), found);
      answer(response, 201);
      return;
    }
    const id = randomUUID();
    this.#uploads.set(id, []);
    answer(response, 202, { location: `/v2/${name}/blobs/uploads/${id}?_state=1` });
  }

  #isAuthorised(authorization: string | undefined): boolean {
    const login = this.#options.login ?? { kind: 'none' };
    if (login.kind === 'none') return true;
    if (login.kind === 'basic') return authorization === basic(login.username, login.password);
    return this.#tokens.has(authorization?.replace(/^Bearer /, '') ?? '');
  }

  #challenge(response: ServerResponse): void {
    const scheme =
      this.#options.login?.kind === 'token'
        ? `Bearer realm="${this.origin}/token",service="fake"`
        : 'Basic realm="fake"';
    const error = new RegistryError('authentication required', { reason: 'Unauthorized' });
    answer(response, 401, { 'www-authenticate': scheme }, JSON.stringify(toOciErrorBody(error)));
  }

  #giveToken(authorization: string | undefined, response: ServerResponse): void {
    const { login } = this.#options;
    if (login?.kind !== 'token') throw new RegistryError('no tokens here', { reason: 'NotFound' });
    const needed = login.password === undefined ? undefined : basic(login.username ?? '', login.password);
    if (needed !== undefined && authorization !== needed) {
      throw new RegistryError('incorrect username or password', { reason: 'Unauthorized' });
    }
    const token = randomUUID();
    this.#tokens.add(token);
    answer(response, 200, {}, JSON.stringify({ token, expires_in: 300 }));
  }
}

function serveBlob(request: IncomingMessage, response: ServerResponse, bytes: Uint8Array | undefined): void {
  if (bytes === undefined)
    throw new RegistryError('blob unknown', { reason: 'NotFound', code: 'BLOB_UNKNOWN' });
  const range = parseRange(request.headers.range, bytes.byteLength);
  const type = { 'content-type': 'application/octet-stream' };
  if (range.kind === 'whole') answer(response, 200, type, Buffer.from(bytes));
  else if (range.kind === 'unsatisfiable') {
    answer(response, 416, { 'content-range': formatContentRange(undefined, bytes.byteLength) });
  } else {
    const headers = { ...type, 'content-range': formatContentRange(range, bytes.byteLength) };
    answer(response, 206, headers, Buffer.from(bytes).subarray(range.start, range.end + 1));
  }
}

/** For a HEAD, Node omits the body by itself. */
function answer(
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>> = {},
  body: string | Buffer = '',
): void {
  response.writeHead(status, { 'content-length': Buffer.byteLength(body), ...headers }).end(body);
}

async function read(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}
