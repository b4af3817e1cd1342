/**
 * What the proxy shows the store: a token that may only read, for one repository; or the login of another
 * registry in the store's place.
 */
import { parseChallenges } from '../../registry/core/challenge.ts';
import type { Authenticator } from '../../registry/transport/auth/authenticator.ts';
import type { Scope } from '../../registry/transport/auth/scope.ts';
import type { OriginResponse } from '../transfer/response.ts';
import type { Pull } from './origin.ts';
import type { PeerCredentials } from './peer.ts';

export class StoreCredentials implements PeerCredentials {
  readonly #authenticator: Authenticator;
  readonly #prefix: string;

  /** @param prefix of the repositories' names in the store */
  constructor(authenticator: Authenticator, prefix: string) {
    this.#authenticator = authenticator;
    this.#prefix = prefix;
  }

  async authorization({ path, signal }: Pull): Promise<string | undefined> {
    return this.#authenticator.authorization(this.#scopes(path.name), signal);
  }

  async renew(
    { path, signal }: Pull,
    header: string | undefined,
    { headers }: OriginResponse,
  ): Promise<string | undefined> {
    const challenge = headers['www-authenticate'];
    const challenges = typeof challenge === 'string' ? parseChallenges(challenge) : [];
    const refusal = { challenges, header, tried: 0, status: 401 };
    return (await this.#authenticator.renew(refusal, this.#scopes(path.name), signal))?.header;
  }

  #scopes(name: string): Scope[] {
    return [{ repository: this.#prefix + name, actions: ['pull'] }];
  }
}
