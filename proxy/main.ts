/** The proxy: serves the pulls of the node's runtime from the store, else the copier, else upstream. */
import { CircuitBreaker } from '../platform/circuit-breaker.ts';
import { systemClock } from '../platform/clock.ts';
import { healthServer, Readiness } from '../platform/health.ts';
import { httpServer } from '../platform/http-server.ts';
import { runMain, type MainContext } from '../platform/main.ts';
import type { Component } from '../platform/run.ts';
import { outboundProxies } from '../registry/transport/http/outbound-proxy.ts';
import { proxyConfig } from './config.ts';
import { readKeys, readText, readUpstreams } from './files.ts';
import { loopbackAddresses } from './loopback.ts';
import { proxyMetrics } from './metrics.ts';
import { copierOrigin } from './origins/copier-origin.ts';
import { failureReport } from './origins/failure-report.ts';
import { Forwarder } from './origins/forward.ts';
import { storeOrigin } from './origins/store-origin.ts';
import { upstreamOrigin } from './origins/upstream-origin.ts';
import { ownSocket } from './readiness/own-socket.ts';
import { SelfTest } from './readiness/self-test.ts';
import { answerTlsInPlain, pullHandler } from './server.ts';
import { anyConnection, SocketOwners } from './socket-owner.ts';
import { PortSteering } from './takeover/port-steering.ts';
import { sharedPort } from './takeover/shared-port.ts';

type Context = MainContext<typeof proxyConfig>;

/**
 * How long a proxy that stops waits for its successor to listen. A proxy that is not ready is stopped as soon
 * as its successor is created, which takes some seconds to listen.
 */
const SUCCESSOR_MS = 10_000;

await runMain({
  process: 'proxy',
  summary: "serves image pulls to the node's runtime",
  config: proxyConfig,
  compose,
});

async function compose({ settings, log, metrics, signal }: Context): Promise<Component[]> {
  const token = await readText(settings.copierTokenFile, log);
  const ca = await readText(settings.copierCaFile, log);
  const keys = await readKeys(settings.capabilityKeys, log);
  const upstreams = await readUpstreams(settings.upstreamsFile, log);
  const counted = proxyMetrics(metrics, keys);

  const store = storeOrigin({
    url: settings.storeReaderUrl,
    login: settings.storeReaderLogin,
    deadlineMs: settings.peerDeadline,
    upstreams,
  });
  const copier = copierOrigin({
    url: settings.copierUrl,
    serverName: settings.copierServerName,
    ca,
    token,
    deadlines: { signMs: settings.peerDeadline, headMs: settings.responseDeadline },
    patienceMs: settings.peerPatience,
    breaker: peerBreaker(settings), // one circuit per replica
    now: systemClock.monotonic,
  });
  const upstream = upstreamOrigin({
    upstreams,
    proxies: outboundProxies(process.env),
    headMs: settings.responseDeadline,
    silenceMs: settings.silenceDeadline,
  });
  const handler = pullHandler({
    forwarder: new Forwarder({
      origins: settings.upstreamFallback ? { store, copier, upstream } : { store, copier },
      breaker: peerBreaker(settings), // one circuit per origin
      now: systemClock.monotonic,
      onFailure: failureReport(log, counted.failed),
    }),
    metrics: counted,
    log,
    silenceMs: settings.silenceDeadline,
    capabilities: keys,
    isRuntime: settings.rootlessRuntime ? anyConnection : new SocketOwners().isRoot,
  });

  // While one proxy replaces another, both listen. The new one gets clients once it has passed its self-test,
  // and gets all of them once the old one stops.
  const steering = new PortSteering({ program: settings.steerPortProgram, log });
  const pulls = httpServer({
    name: 'pull server',
    addresses: loopbackAddresses(settings.listenPort),
    handler,
    configure: answerTlsInPlain,
    sharedPort: sharedPort({ steering, successorMs: SUCCESSOR_MS }),
    drainMs: settings.drainTime,
  });
  const selfTest = new SelfTest({
    socketPath: settings.ownSocket,
    intervalMs: settings.selfTestInterval,
    deadlineMs: 2 * settings.peerDeadline, // the store, then the copier
    onProven: steering.share,
    clock: systemClock,
    log,
  });
  const readiness = new Readiness(signal);
  readiness.add('self-test', selfTest.problem);
  const health = healthServer({
    address: settings.metricsListen,
    metrics,
    readiness,
    sharedPort: sharedPort({ steering }),
  });
  return [
    token.component('copier token'),
    ca.component('copier CA'),
    keys.component('capability keys'),
    upstreams.component('upstream settings'),
    pulls,
    ownSocket({ path: settings.ownSocket, pulls: handler, works: selfTest.passes }),
    health,
    selfTest.component(),
  ];
}

function peerBreaker({ peerPause, responseDeadline }: Context['settings']): CircuitBreaker {
  return new CircuitBreaker({
    failureThreshold: 1,
    openMs: peerPause,
    maxOpenMs: Math.max(30_000, peerPause),
    probeMs: responseDeadline,
  });
}
