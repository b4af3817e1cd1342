/**
 * Builds the copier's side of the upstream registries: policies, credentials, and the limits that protect the
 * registries and us.
 */
import { CircuitBreaker } from '../platform/circuit-breaker.ts';
import { systemClock } from '../platform/clock.ts';
import { upstreamPolicies } from '../registry/transport/http/connection-policy.ts';
import { createConnections } from '../registry/transport/http/connector.ts';
import { Pace } from '../registry/transport/pace.ts';
import { Transport } from '../registry/transport/transport.ts';
import { PullPolicies } from './images/pull-policies.ts';
import { HostLimiter } from './upstream/host-limiter.ts';
import { Keyring } from './upstream/keyring.ts';
import { Outages } from './upstream/outages.ts';
import { Upstreams } from './upstream/upstreams.ts';
import type { CopierOptions } from './options.ts';

/** Pods wait for a registry that has come back at most this long, in milliseconds. */
const MAX_OUTAGE_MS = 30_000;
const SECRET_STALE_MS = 10 * 60_000;

export interface UpstreamParts {
  readonly transport: Transport;
  readonly policies: PullPolicies;
  readonly keyring: Keyring;
  readonly upstreams: Upstreams;
}

export function composeUpstreams(options: CopierOptions): UpstreamParts {
  const { settings, upstreamSettings, proxies, log } = options;
  const now = systemClock.monotonic;
  const transport = new Transport(
    createConnections(upstreamPolicies(upstreamSettings), {
      connectMs: settings.connectDeadline,
      ...(proxies === undefined ? {} : { proxies }),
    }),
    { headMs: settings.responseDeadline, silenceMs: settings.silenceDeadline },
  );
  const policies = new PullPolicies({
    records: options.policies,
    freshForMs: settings.freshFor,
    namespace: settings.namespace,
  });
  const keyring = new Keyring({
    source: options.secrets,
    publicSecrets: policies,
    freshForMs: settings.secretFreshFor,
    staleForMs: SECRET_STALE_MS,
    now,
    log,
  });
  const upstreams = new Upstreams({
    transport,
    upstreamSettings,
    keyring,
    pace: new Pace({ defaultPauseMs: settings.limitPause, maxPauseMs: settings.maxLimitPause, now }),
    limiter: new HostLimiter(settings.upstreamTransfers),
    outages: new Outages({
      breaker: new CircuitBreaker({
        // A single failure may be a lost packet.
        failureThreshold: 2,
        openMs: settings.upstreamPause,
        maxOpenMs: Math.max(MAX_OUTAGE_MS, settings.upstreamPause),
        probeMs: settings.responseDeadline,
      }),
      now,
    }),
  });
  return { transport, policies, keyring, upstreams };
}
