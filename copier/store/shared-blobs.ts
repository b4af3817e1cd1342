/**
 * Content that several repositories have, such as the layers of a base image: repositories of our own in the store, without images,
 * that hold a link to every blob that was fetched for public names, or for one namespace. From there the next repository gets it
 * (docs/adr/0008).
 */
import { SELF_TEST_IMAGE } from '../../api/self-test.ts';
import { shelfOf } from '../../api/shared-blobs.ts';
import { decodeCachedName } from '../../registry/core/cached-name.ts';
import { parseManifest } from '../../registry/core/manifest.ts';
import type { Logger } from '../../platform/log.ts';
import type { BlobKey } from '../download/downloads.ts';
import { SingleFlight } from '../download/single-flight.ts';
import type { Store } from './store.ts';

export interface ShelvesOptions {
  readonly store: Pick<Store, 'hasBlob' | 'mount' | 'put' | 'putManifest'>;
  readonly log: Logger;
  /** Ends what outlives a single request. */
  readonly signal: AbortSignal;
}

/** Whether what was fetched for one repository may be given to another: public content to all, a namespace's to that namespace. */
export function maySee(reader: string, owner: string): boolean {
  const { tenant } = decodeCachedName(owner);
  return tenant === undefined || tenant === decodeCachedName(reader).tenant;
}

/** No method throws: a repository can always fetch what it needs by itself. */
export class Shelves {
  readonly #options: ShelvesOptions;
  readonly #made = new Set<string>();
  readonly #making = new SingleFlight<void>();

  constructor(options: ShelvesOptions) {
    this.#options = options;
  }

  /** The shelf from which a repository may be given the blob; undefined when it is on none, or the store cannot tell. */
  async find({ repository, digest }: BlobKey, signal: AbortSignal): Promise<string | undefined> {
    const { store, log } = this.#options;
    const { tenant } = decodeCachedName(repository);
    const shelves = [shelfOf(undefined), ...(tenant === undefined ? [] : [shelfOf(tenant)])];
    try {
      const has = shelves.map((shelf) => store.hasBlob({ repository: shelf, digest }, signal));
      const found = await Promise.all(has);
      return shelves.find((_, index) => found[index]);
    } catch (error) {
      log.debug('store cannot be asked for shared content', { digest, error });
      return undefined;
    }
  }

  /** Links a blob into a repository that may have it. @returns whether it is there now */
  async link(key: BlobKey, from: string, signal: AbortSignal): Promise<boolean> {
    const { store, log } = this.#options;
    try {
      return await store.mount(key, from, signal);
    } catch (error) {
      log.info('shared content was not linked', { ...key, from, error });
      return false;
    }
  }

  /** Takes a link to a blob that a repository has got. */
  async add({ repository, digest }: BlobKey): Promise<void> {
    const { log, signal } = this.#options;
    const shelf = shelfOf(decodeCachedName(repository).tenant);
    try {
      await this.#make(shelf);
      await this.link({ repository: shelf, digest }, repository, signal);
    } catch (error) {
      log.info('content is not shared', { repository, digest, error });
    }
  }

  /** Distribution's collector passes over repositories without a manifest: links to what it has removed would stay there. */
  async #make(shelf: string): Promise<void> {
    if (this.#made.has(shelf)) return;
    await this.#making.run(shelf, async () => {
      const { store, signal } = this.#options;
      const { manifest, blob, tag } = SELF_TEST_IMAGE;
      const { bytes, digest, mediaType } = manifest;
      const key = { repository: shelf, digest: blob.digest };
      await store.put(key, blob.bytes.length, once(blob.bytes), signal);
      const stored = { bytes, digest, manifest: parseManifest(bytes, mediaType) };
      await store.putManifest(shelf, { tag }, stored, signal);
      this.#made.add(shelf);
    });
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}
