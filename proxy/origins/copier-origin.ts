/** The copier as an origin: any of its replicas, asked with the proxy's ServiceAccount token. */
import type { CircuitBreaker } from '../../platform/circuit-breaker.ts';
import type { FileValue } from '../../platform/file-watch.ts';
import type { HeadDeadlines } from '../transfer/head-deadline.ts';
import { copierAgent } from './copier-agent.ts';
import { CopierCredentials } from './copier-credentials.ts';
import { Peer } from './peer.ts';
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
   * How long it may give no sign of life when the image is not cached, in milliseconds. If this is less than
   * the deadline for a sign, the deadline counts.
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
    credentials: new CopierCredentials(token),
  });
  return new PeerOrigin('copier', peer);
}
