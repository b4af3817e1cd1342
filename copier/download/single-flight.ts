/** Lets everybody who asks for the same thing at the same time wait for one answer. */

export class SingleFlight<T> {
  readonly #running = new Map<string, Promise<T>>();

  /** Joins what runs under this key, or runs it. It goes on when callers lose interest: others may be waiting. */
  async run(key: string, start: () => Promise<T>): Promise<T> {
    const running = this.#running.get(key);
    if (running !== undefined) return running;
    const started = start().finally(() => this.#running.delete(key));
    this.#running.set(key, started);
    return started;
  }
}
