/** How an order says why it failed. */
import { RegistryError, toRegistryError } from '../../registry/core/errors.ts';
import { SpoolFull } from '../download/spool.ts';
import { toStoreFailure } from '../store/store.ts';

export interface FailureJson {
  reason: RegistryError['reason'];
  message: string;
  retryAfterSeconds?: number;
}

export function describeFailure(thrown: unknown): FailureJson {
  const error = thrown instanceof SpoolFull ? spoolFull(thrown) : ofImageOrStore(toRegistryError(thrown));
  const { reason, message, retryAfterSeconds } = error;
  return { reason, message, ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) };
}

/** Upstream's failures are marked as such; any other is about the image itself, or the store's. */
function ofImageOrStore(error: RegistryError): RegistryError {
  const ofImage =
    error.reason === 'NotFound' || (error.reason === 'Invalid' && error.code !== 'MANIFEST_BLOB_UNKNOWN');
  return ofImage ? error : toStoreFailure(error);
}

function spoolFull(cause: SpoolFull): RegistryError {
  return new RegistryError("the copier's own disk space is used up", { reason: 'StoreFull', cause });
}
