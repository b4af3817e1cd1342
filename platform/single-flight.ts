/** One call at a time for a key: everybody who asks meanwhile waits for the same result. */

export class SingleFlight<T> {
  readonly #running = new Map<string, Promise<T>>();

  /** Joins the call under this key, or starts it. It goes on when callers leave: others may be waiting. */
  async run(key: string, start: () => Promise<T>): Promise<T> {
    const running = this.#running.get(key);
    if (running !== undefined) return running;
    const started = start().finally(() => this.#running.delete(key));
    this.#running.set(key, started);
    return started;
  }
}
