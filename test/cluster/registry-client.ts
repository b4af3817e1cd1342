/**
 * Sends test images to a registry; plain requests of its own, so that the code under test is not needed to
 * test itself.
 */
import { Readable } from 'node:stream';
import { Agent, type Dispatcher, request } from 'undici';
import type { Content, TestImage } from './images.ts';

export interface RegistryAccess {
  /** `http://10.77.100.1:5000` or `https://registry.example.test`. */
  readonly origin: string;
  /** Address to connect to, whatever name stands in the origin. */
  readonly address: string;
  /** PEM; for https. */
  readonly ca?: string;
  readonly credentials?: { readonly username: string; readonly password: string };
}

type RequestOptions = Omit<NonNullable<Parameters<typeof request>[1]>, 'dispatcher'>;

export class RegistryClient {
  readonly #access: RegistryAccess;
  readonly #dispatcher: Agent;

  constructor(access: RegistryAccess) {
    this.#access = access;
    this.#dispatcher = new Agent({
      connect: {
        ...(access.ca === undefined ? {} : { ca: access.ca }),
        lookup: (_name, _options, done) => {
          done(null, [{ address: access.address, family: 4 }]);
        },
      },
    });
  }

  /** Sends what the registry lacks, children before parents, tag last. */
  async push(repository: string, tag: string, image: TestImage, signal?: AbortSignal): Promise<void> {
    for (const { manifest, blobs } of image.images) {
      for (const blob of blobs) await this.#pushBlob(repository, blob, signal);
      await this.#pushManifest(repository, manifest.digest, manifest, signal);
    }
    await this.#pushManifest(repository, tag, image.index, signal);
  }

  /** Gives the raw answer to any request below `/v2/`; the caller reads or dumps its body. */
  async request(path: string, options: RequestOptions = {}): Promise<Dispatcher.ResponseData<unknown>> {
    const { credentials, origin } = this.#access;
    const headers: Record<string, string> = { ...(options.headers as Record<string, string> | undefined) };
    if (credentials) {
      const pair = Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64');
      headers['authorization'] = `Basic ${pair}`;
    }
    return await request(new URL(path, origin), { ...options, headers, dispatcher: this.#dispatcher });
  }

  async close(): Promise<void> {
    await this.#dispatcher.close();
  }

  async #pushBlob(repository: string, blob: Content, signal?: AbortSignal): Promise<void> {
    const abort = signal ? { signal } : {};
    const present = await this.request(`/v2/${repository}/blobs/${blob.digest}`, {
      method: 'HEAD',
      ...abort,
    });
    await present.body.dump();
    if (present.statusCode === 200) return;
    const opened = await this.request(`/v2/${repository}/blobs/uploads/`, { method: 'POST', ...abort });
    await expectStatus(opened, 202);
    const location = new URL(String(opened.headers['location']), this.#access.origin);
    location.searchParams.set('digest', blob.digest);
    const stored = await this.request(location.pathname + location.search, {
      method: 'PUT',
      headers: { 'content-type': 'application/octet-stream', 'content-length': String(blob.size) },
      body: Readable.from(blob.bytes(), { objectMode: false }),
      ...abort,
    });
    await expectStatus(stored, 201);
  }

  async #pushManifest(
    repository: string,
    reference: string,
    content: Content,
    signal?: AbortSignal,
  ): Promise<void> {
    const stored = await this.request(`/v2/${repository}/manifests/${reference}`, {
      method: 'PUT',
      headers: { 'content-type': content.mediaType },
      body: Buffer.concat([...content.bytes()]),
      ...(signal ? { signal } : {}),
    });
    await expectStatus(stored, 201);
  }
}

async function expectStatus(response: Dispatcher.ResponseData<unknown>, expected: number): Promise<void> {
  const body = await response.body.text();
  if (response.statusCode !== expected)
    throw new Error(`registry answered ${response.statusCode}: ${body.slice(0, 500)}`);
}
