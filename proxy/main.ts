/** `larder proxy`: serves pulls on the node's loopback, from the store, else the copier, else upstream. */
import type { Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { CircuitBreaker } from '../platform/circuit-breaker.ts';
import { systemClock } from '../platform/clock.ts';
import { FileValue } from '../platform/file-watch.ts';
import { healthServer, Readiness } from '../platform/health.ts';
import { httpServer } from '../platform/http-server.ts';
import type { Logger } from '../platform/log.ts';
import { runMain, type MainContext } from '../platform/main.ts';
import { PortSteering } from './takeover/port-steering.ts';
import { sharedPort } from './takeover/shared-port.ts';
import type { Component } from '../platform/run.ts';
import type { ListenAddress } from '../platform/settings.ts';
import { upstreamPolicies } from '../registry/transport/http/connection-policy.ts';
import { createConnections } from '../registry/transport/http/connector.ts';
import { outboundProxies } from '../registry/transport/http/outbound-proxy.ts';
import { Transport } from '../registry/transport/transport.ts';
import {
  parseUpstreamSettings,
  upstreamFiles,
  type UpstreamSettings,
  type UpstreamSettingsSource,
} from '../registry/transport/settings/upstream-settings.ts';
import { readCapabilityKeys } from '../api/capability-keys.ts';
import { TenantDoor } from './caller.ts';
import { proxyConfig } from './config.ts';
import { copierAgent } from './origins/copier-agent.ts';
import { Forwarder } from './origins/forward.ts';
import { ownDoor } from './takeover/own-door.ts';
import { Peer } from './origins/peer.ts';
import { PeerOrigin } from './origins/peer-origin.ts';
import { proxyMetrics } from './metrics.ts';
import { answerTlsInPlain, pullHandler } from './server.ts';
import { SelfTest } from './takeover/self-test.ts';
import { storeOrigin } from './origins/store-origin.ts';
import { UpstreamOrigin } from './origins/upstream-origin.ts';

type Context = MainContext<typeof proxyConfig>;

/** A proxy that is not ready is told to go as soon as its successor is made, which takes some seconds to listen. */
const SUCCESSOR_MS = 10_000;

await runMain({
  process: 'proxy',
  summary: "serves image pulls to the node's runtime",
  config: proxyConfig,
  compose: async ({ settings, log, metrics, signal }) => {
    const token = await readToken(settings.copierTokenFile, log);
    const ca = await readCa(settings.copierCaFile, log);
    const keys = await FileValue.read({ paths: [settings.capabilityKeys], log, parse: readCapabilityKeys });
    const upstreams = await readUpstreams(settings.upstreamsFile, log);
    const counted = proxyMetrics(metrics);
    const forwarder = new Forwarder({
      origins: {
        store: storeOrigin({
          url: settings.storeUrl,
          login: settings.storeLogin,
          deadlineMs: settings.signDeadline,
          upstreams,
        }),
        copier: copierOrigin(settings, token, ca),
        ...(settings.upstreamFallback ? { upstream: upstreamOrigin(settings, upstreams) } : {}),
      },
      breaker: peerBreaker(settings),
      now: () => performance.now(),
      onFailure: (exchange, failure) => {
        counted.failed(failure);
        const level = failure.verdict === 'absent' || failure.verdict === 'refused' ? 'debug' : 'info';
        log[level]('origin did not serve', { requestId: exchange.id, ...failure });
      },
    });
    const tenants = new TenantDoor();
    const admitsToTenants = (connection: Socket): Promise<boolean> =>
      settings.rootlessRuntime ? Promise.resolve(true) : tenants.admits(connection);
    const handler = pullHandler({
      forwarder,
      metrics: counted,
      log,
      silenceMs: settings.silence,
      capabilityKeys: () => keys.get(),
      admitsToTenants,
    });
    // While one proxy replaces another both listen: the new one gets callers once it has proven itself, and all of them when the old one leaves.
    const steering = new PortSteering({ program: settings.steerPortProgram, log });
    const pulls = httpServer({
      name: 'pull server',
      addresses: loopbackAddresses(settings.port),
      handler,
      configure: answerTlsInPlain,
      sharedPort: sharedPort({ steering, successorMs: SUCCESSOR_MS }),
      drainMs: settings.drain,
    });
    const selfTest = new SelfTest({
      door: settings.ownSocket,
      intervalMs: settings.selfTestInterval,
      deadlineMs: 2 * settings.signDeadline,
      onProven: () => void steering.share(),
      clock: systemClock,
      log,
    });
    const readiness = new Readiness(signal);
    readiness.add('self-test', () => selfTest.problem());
    const works = (): boolean => selfTest.problem() === undefined;
    const door = ownDoor({ path: settings.ownSocket, pulls: handler, works });
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
      door,
      health,
      selfTest.component(),
    ] satisfies Component[];
  },
});

function peerBreaker({ breakerOpen, headDeadline }: Context['settings']): CircuitBreaker {
  return new CircuitBreaker({
    failureThreshold: 1,
    openMs: breakerOpen,
    maxOpenMs: Math.max(30_000, breakerOpen),
    probeMs: headDeadline,
  });
}

function copierOrigin(
  settings: Context['settings'],
  token: FileValue<string>,
  ca: FileValue<string>,
): PeerOrigin {
  const peer = new Peer({
    name: 'copier',
    target: settings.copierUrl,
    deadlines: { signMs: settings.signDeadline, headMs: settings.headDeadline },
    patienceMs: Math.max(settings.patience, settings.signDeadline),
    replicas: { breaker: peerBreaker(settings), now: () => performance.now() },
    agent: copierAgent(settings.copierUrl, settings.copierServerName, ca),
    credentials: {
      authorization: () => Promise.resolve(token.get() === '' ? undefined : `Bearer ${token.get()}`),
      renew: () => Promise.resolve(undefined),
    },
  });
  return new PeerOrigin('copier', peer);
}

function upstreamOrigin(
  { headDeadline, silence }: Context['settings'],
  upstreams: UpstreamSettingsSource,
): UpstreamOrigin {
  const connections = createConnections(upstreamPolicies(upstreams), {
    connectMs: 5_000,
    proxies: outboundProxies(process.env),
  });
  return new UpstreamOrigin(
    new Transport(connections, { headMs: headDeadline, silenceMs: silence }),
    upstreams,
  );
}

/** An absent file is not fatal: what is in the store must be served all the same. */
function readToken(path: string, log: Logger): Promise<FileValue<string>> {
  return FileValue.read({ paths: [path], log, parse: ([content]) => content?.toString('utf8').trim() ?? '' });
}

async function readUpstreams(path: string | undefined, log: Logger): Promise<FileValue<UpstreamSettings[]>> {
  const paths = await upstreamFiles(path);
  return FileValue.read({ paths, log, parse: (contents) => parseUpstreamSettings(paths, contents) });
}

function readCa(path: string, log: Logger): Promise<FileValue<string>> {
  return FileValue.read({ paths: [path], log, parse: ([content]) => content?.toString('utf8') ?? '' });
}

/** Runtimes may take `localhost` for either address; a node may have IPv6 switched off. */
function loopbackAddresses(port: number): ListenAddress[] {
  const present = new Set(
    Object.values(networkInterfaces()).flatMap((list) => list?.map(({ address }) => address) ?? []),
  );
  return ['127.0.0.1', '::1']
    .filter((host) => host === '127.0.0.1' || present.has(host))
    .map((host) => ({ host, port }));
}
