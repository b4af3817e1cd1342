/** One blob on its way from upstream: one request, one growing file, verified before anybody gets its last byte. */
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

export interface OpenFlight {
  readonly size: number | undefined;
  readonly file: GrowingFile;
}

export interface ResumePolicy {
  /** How often in a row a broken transfer is taken up again without getting any byte. */
  readonly tries: number;
  /** Pause before the first of these tries, in milliseconds; it doubles with each. */
  readonly pauseMs: number;
}

export interface FlightOptions {
  readonly digest: Digest;
  readonly source: BlobSource;
  readonly spool: Spool;
  readonly resume: ResumePolicy;
  /** Ends the flight. Clients that leave do not. */
  readonly signal: AbortSignal;
}

export class BlobFlight {
  /** Upstream has answered. @throws RegistryError with upstream's meaning, or SpoolFull */
  readonly opened: Promise<OpenFlight>;
  /** The file is whole and its bytes are those of the digest. The holder closes it. @throws what `opened` does */
  readonly landed: Promise<OpenFlight>;
  readonly #options: FlightOptions;

  constructor(options: FlightOptions) {
    this.#options = options;
    const opened = Promise.withResolvers<OpenFlight>();
    this.opened = opened.promise;
    this.landed = this.#run(opened.resolve);
    this.landed.catch(opened.reject);
    this.opened.catch(() => undefined);
  }

  async #run(onOpen: (flight: OpenFlight) => void): Promise<OpenFlight> {
    const { source, spool, signal } = this.#options;
    const blob = await source.open(0, signal);
    const reservation = await spool.reserve(blob.size).catch((error: unknown) => {
      blob.body.destroy();
      throw error;
    });
    const { file } = reservation;
    const flight = { size: blob.size, file };
    onOpen(flight);
    try {
      await this.#fill(blob, reservation);
      file.seal();
      return flight;
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

/** Hashes and measures what comes before anybody sees it. */
class CheckedSink implements ByteSink {
  /** What ended the transfer from our side. */
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

/** What the network throws becomes a RegistryError, so that the errors of our own disk can be told from it. */
async function take(blob: OpenedBlob, sink: CheckedSink, signal: AbortSignal): Promise<void> {
  try {
    await pour(addAbortSignal(signal, blob.body), sink);
  } catch (error) {
    throw sink.failure === undefined ? blob.toError(error) : sink.failure.error;
  }
}

/** What breaks a transfer is mended by going on where it broke; wrong content and refusals are not. */
function mayResume(error: unknown): boolean {
  return error instanceof RegistryError && error.retryable && error.reason !== 'DigestMismatch';
}

function tooShort(got: number, size: number): RegistryError {
  return new RegistryError(`upstream sent ${got} bytes of ${size}`, { reason: 'UpstreamError' });
}

function tooLong(size: number): RegistryError {
  return new RegistryError(`upstream sent more than the ${size} bytes it had announced`, {
    reason: 'DigestMismatch',
  });
}
