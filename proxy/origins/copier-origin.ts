/** The copier as an origin: any of its replicas, asked with the proxy's ServiceAccount token. */
import type { CircuitBreaker } from '../../platform/circuit-breaker.ts';
import type { FileValue } from '../../platform/file-watch.ts';
import type { HeadDeadlines } from '../transfer/head-deadline.ts';
import { copierAgent } from './copier-agent.ts';
import { Peer, type PeerCredentials } from './peer.ts';
import { PeerOrigin } from './peer-origin.ts';

export interface CopierOriginOptions {
  readonly url: URL;
  /** Name in its certificate, whatever address it is reached at; the URL's host when undefined. */
  readonly serverName: string | undefined;
  /** PEM certificates; empty while the file is absent. */
  readonly ca: FileValue<string>;
  /** Empty while the file is absent. */
  readonly token: FileValue<string>;
  readonly deadlines: HeadDeadlines;
  /**
   * How long it may give no sign of life where the image is not cached, in milliseconds; at least the
   * deadline.
   */
  readonly patienceMs: number;
  /** For its replicas, each by itself. */
  readonly breaker: CircuitBreaker;
  /** Milliseconds of a clock that never jumps. */
  readonly now: () => number;
}

export function copierOrigin(options: CopierOriginOptions): PeerOrigin {
  const { url, serverName, ca, token, deadlines, patienceMs, breaker, now } = options;
  const peer = new Peer({
    name: 'copier',
    target: url,
    deadlines,
    patienceMs: Math.max(patienceMs, deadlines.signMs),
    replicas: { breaker, now },
    agent: copierAgent(url, serverName, ca),
    credentials: new TokenCredentials(token),
  });
  return new PeerOrigin('copier', peer);
}

/** A ServiceAccount token, which the kubelet renews in its file. */
class TokenCredentials implements PeerCredentials {
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
