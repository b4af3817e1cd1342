/** What the proxy shows the copier: its ServiceAccount token, which the kubelet renews in its file. */
import type { FileValue } from '../../platform/file-watch.ts';
import type { PeerCredentials } from './peer.ts';

export class CopierCredentials implements PeerCredentials {
  readonly #token: FileValue<string>;

  constructor(token: FileValue<string>) {
    this.#token = token;
  }

  authorization(): Promise<string | undefined> {
    const token = this.#token.get();
    return Promise.resolve(token === '' ? undefined : `Bearer ${token}`);
  }

  renew(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
}
