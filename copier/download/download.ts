/** The download of one blob into a growing file, verified before any reader gets the last byte. */
import { addAbortSignal } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { OpenedBlob } from '../../registry/client/blobs.ts';
import { createDigester, type Digest, type Digester } from '../../registry/core/digest.ts';
import { RegistryError } from '../../registry/core/errors.ts';
import { pour, type ByteSink } from '../../registry/transport/http/byte-sink.ts';
import type { GrowingFile } from './growing-file.ts';
import type { Reservation, Spool } from './spool.ts';

export interface BlobSource {
  /** The blob's bytes from `offset` on. @throws RegistryError */
  open(offset: number, signal: AbortSignal): Promise<OpenedBlob>;
}

/** A blob in the spool, whole or still growing. */
export interface SpooledBlob {
  /** Bytes that upstream has announced. */
  readonly size: number | undefined;
  readonly file: GrowingFile;
}

export interface ResumePolicy {
  /** How many times in a row a broken transfer is resumed without getting any byte. */
  readonly tries: number;
  /** Pause before the first of these tries, in milliseconds; doubles with each. */
  readonly pauseMs: number;
}

export interface DownloadOptions {
  readonly digest: Digest;
  readonly source: BlobSource;
  readonly spool: Spool;
  readonly resume: ResumePolicy;
  /** Ends the download; clients that leave do not. */
  readonly signal: AbortSignal;
}

export class Download {
  /** Upstream has answered. @throws RegistryError with upstream's meaning, or SpoolFull */
  readonly opened: Promise<SpooledBlob>;
  /**
   * The file is whole and has the right digest; the caller closes it.
   * @throws what `opened` does, or RegistryError
   */
  readonly completed: Promise<SpooledBlob>;
  readonly #options: DownloadOptions;

  constructor(options: DownloadOptions) {
    this.#options = options;
    const opened = Promise.withResolvers<SpooledBlob>();
    this.opened = opened.promise;
    this.completed = this.#run(opened.resolve);
    this.completed.catch(opened.reject);
    this.opened.catch(() => undefined);
  }

  async #run(onOpen: (spooled: SpooledBlob) => void): Promise<SpooledBlob> {
    const { source, spool, signal } = this.#options;
    const blob = await source.open(0, signal);
    const reservation = await spool.reserve(blob.size).catch((error: unknown) => {
      blob.body.destroy();
      throw error;
    });
    const { file } = reservation;
    const spooled = { size: blob.size, file };
    onOpen(spooled);
    try {
      await this.#fill(blob, reservation);
      file.seal();
      return spooled;
    } catch (error) {
      file.fail(error);
      file.close();
      throw error;
    }
  }

  async #fill(first: OpenedBlob, reservation: Reservation): Promise<void> {
    const { file } = reservation;
    const { digest, source, resume, signal } = this.#options;
    const digester = createDigester(digest);
    let blob: OpenedBlob | undefined = first;
    for (let futile = 0; ;) {
      const before = file.written;
      try {
        blob ??= await source.open(before, signal);
        await take(blob, new CheckedSink(reservation, digester, first.size), signal);
        if (first.size !== undefined && file.written < first.size) throw tooShort(file.written, first.size);
        digester.verify();
        await file.flush();
        return;
      } catch (error) {
        blob = undefined;
        futile = file.written > before ? 1 : futile + 1;
        if (futile > resume.tries || signal.aborted || !mayResume(error)) throw error;
        await delay(resume.pauseMs * 2 ** (futile - 1), undefined, { signal });
      }
    }
  }
}

/** Counts and hashes the bytes before any reader sees them. */
class CheckedSink implements ByteSink {
  /** Why we ended the transfer ourselves. */
  failure: { readonly error: unknown } | undefined;
  readonly #reservation: Reservation;
  readonly #digester: Digester;
  readonly #size: number | undefined;
  #space: Uint8Array = new Uint8Array();

  /** @param size bytes that upstream has announced */
  constructor(reservation: Reservation, digester: Digester, size: number | undefined) {
    this.#reservation = reservation;
    this.#digester = digester;
    this.#size = size;
  }

  space(): Uint8Array {
    this.#space = this.#reservation.file.space();
    return this.#space;
  }

  filled(bytes: number): boolean {
    const { file } = this.#reservation;
    try {
      this.#reservation.grow(file.written + bytes);
      if (this.#size !== undefined && file.written + bytes > this.#size) throw tooLong(this.#size);
      this.#digester.update(this.#space.subarray(0, bytes));
      return file.filled(bytes);
    } catch (error) {
      this.failure = { error };
      throw error;
    }
  }

  async ready(): Promise<void> {
    try {
      await this.#reservation.file.ready();
    } catch (error) {
      this.failure = { error };
      throw error;
    }
  }
}

/** Turns errors of the network into RegistryErrors, and leaves those of our own disk as they are. */
async function take(blob: OpenedBlob, sink: CheckedSink, signal: AbortSignal): Promise<void> {
  try {
    await pour(addAbortSignal(signal, blob.body), sink);
  } catch (error) {
    throw sink.failure === undefined ? blob.toError(error) : sink.failure.error;
  }
}

/** A transfer that broke can be resumed; wrong content and refusals would only repeat themselves. */
function mayResume(error: unknown): boolean {
  return error instanceof RegistryError && error.retryable && error.reason !== 'DigestMismatch';
}

function tooShort(got: number, size: number): RegistryError {
  return new RegistryError(`upstream sent ${got} bytes of ${size}`, { reason: 'UpstreamError' });
}

function tooLong(size: number): RegistryError {
  return new RegistryError(`upstream sent more than the ${size} bytes that it had announced`, {
    reason: 'DigestMismatch',
  });
}
