/** Waiting that its caller can give up. */

/** What the promise gives; rejects with the signal's reason when it is aborted before. What is waited for goes on. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => {
    aborted.reject(signal.reason);
  };
  signal.addEventListener('abort', abort, { once: true });
  return Promise.race([promise, aborted.promise]).finally(() => {
    signal.removeEventListener('abort', abort);
  });
}
