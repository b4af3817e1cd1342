/** How the copier stops: downloads finish, then what is left is ended and all connections are closed. */
import type { Component, Running } from '../platform/run.ts';
import type { Copier } from './compose.ts';

export interface ShutdownOptions {
  readonly copier: Copier;
  /** Its signal ends everything that outlives a single request. */
  readonly work: AbortController;
  /** To the Kubernetes API. */
  readonly connection: { close(): Promise<void> };
}

/** To be started before whatever serves requests, so that it stops after it. */
export class Shutdown implements Component, Running {
  readonly name = 'downloads';
  readonly #options: ShutdownOptions;

  constructor(options: ShutdownOptions) {
    this.#options = options;
  }

  start(): Promise<Running> {
    return Promise.resolve(this);
  }

  async stop(): Promise<void> {
    const { copier, work, connection } = this.#options;
    await copier.downloads.settle();
    work.abort(new Error('the copier is stopping'));
    await copier.close();
    await connection.close();
  }
}
