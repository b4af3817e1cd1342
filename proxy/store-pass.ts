/** What the proxy shows to the store: a token per repository that may only read. */
import type { Authenticator } from '../registry/transport/authenticator.ts';
import type { Scope } from '../registry/transport/scope.ts';
import type { Exchange } from './answer.ts';
import type { PeerCredentials } from './peer.ts';

export class StorePass implements PeerCredentials {
  readonly #authenticator: Authenticator;

  constructor(authenticator: Authenticator) {
    this.#authenticator = authenticator;
  }

  async authorization({ path, signal }: Exchange): Promise<string | undefined> {
    return this.#authenticator.authorization(scopesOf(path.name), signal);
  }

  async renew({ path, signal }: Exchange, refused: string | undefined): Promise<string | undefined> {
    const refusal = { challenges: [], header: refused, tried: 0, status: 401 };
    return (await this.#authenticator.answer(refusal, scopesOf(path.name), signal))?.header;
  }
}

function scopesOf(repository: string): Scope[] {
  return [{ repository, actions: ['pull'] }];
}
