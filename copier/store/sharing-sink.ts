/** Stores what was downloaded, and shares it with other repositories. */
import type { BlobKey, BlobSink } from '../blob-sink.ts';
import type { SharedBlobs } from './shared-blobs.ts';

export class SharingSink implements BlobSink {
  readonly #store: BlobSink;
  readonly #sharedBlobs: SharedBlobs;

  constructor(store: BlobSink, sharedBlobs: SharedBlobs) {
    this.#store = store;
    this.#sharedBlobs = sharedBlobs;
  }

  async put(
    key: BlobKey,
    size: number | undefined,
    content: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#store.put(key, size, content, signal);
    await this.#sharedBlobs.add(key);
  }
}
