/** How the copier stops: downloads finish, the rest is ended, and connections to registries are closed. */
import type { Component, Running } from '../platform/run.ts';
import type { Copier } from './compose.ts';

/** To be started before whatever serves requests, so that it stops after it. */
export class Shutdown implements Component, Running {
  readonly name = 'downloads';
  readonly #copier: Copier;
  readonly #work: AbortController;

  /** @param work its signal ends everything that outlives a single request */
  constructor(copier: Copier, work: AbortController) {
    this.#copier = copier;
    this.#work = work;
  }

  start(): Promise<Running> {
    return Promise.resolve(this);
  }

  async stop(): Promise<void> {
    await this.#copier.downloads.settle();
    this.#work.abort(new Error('the copier is stopping'));
    await this.#copier.close();
  }
}
