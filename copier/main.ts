/** `larder copier`: fetches from upstream registries for waiting proxies and on the controller's orders. */
import { setTimeout as sleep } from 'node:timers/promises';
import { COPIER_AUDIENCE } from '../api/names.ts';
import { FileValue } from '../platform/file-watch.ts';
import { systemClock } from '../platform/clock.ts';
import { healthServer, Readiness } from '../platform/health.ts';
import { httpServer } from '../platform/http-server.ts';
import { cacheWatch, ObjectCache } from '../platform/kube/cache.ts';
import { KubeClient } from '../platform/kube/client.ts';
import { connect, loadKubeConfig } from '../platform/kube/connection.ts';
import { endpointSlices, type EndpointSlice } from '../platform/kube/resource.ts';
import { runMain } from '../platform/main.ts';
import { loop, type Component } from '../platform/run.ts';
import { readTlsFolder } from '../platform/tls-files.ts';
import { parseUpstreamSettings, upstreamFiles } from '../registry/transport/settings/upstream-settings.ts';
import { outboundProxies } from '../registry/transport/http/outbound-proxy.ts';
import { discoverKeys, TokenVerifier } from './api/token-verifier.ts';
import { composeCopier } from './compose.ts';
import { copierConfig } from './config.ts';
import { copierMetrics } from './metrics.ts';
import { type Claim, claimRecords, indexClaims, KubePullSecrets } from './upstream/kube-secrets.ts';
import { Placement, readyAddresses } from './api/placement.ts';
import { type PolicyRecord, policyRecords } from '../api/policy-records.ts';
import { keepSelfTestImage } from './store/self-test-image.ts';
import { copierHandler } from './api/server.ts';

/** How long a pull waits for the CachedImage of a pod that has just been made, in milliseconds. */
const CACHED_IMAGE_PATIENCE_MS = 2_000;
const KEYS_REFRESH_MS = 10 * 60_000;
const KEYS_RETRY_MS = 2_000;

await runMain({
  process: 'copier',
  summary: 'fetches images from upstream registries into the store, for proxies that wait and on orders',
  config: copierConfig,
  compose: async ({ settings, log, metrics, signal }) => {
    const tls = await readTlsFolder(settings.tlsFolder, log);
    const connection = connect(loadKubeConfig(settings.kubeconfig));
    const kube = new KubeClient(connection, 'larder-copier');
    const verifier = new TokenVerifier({
      fetchKeys: (fetchSignal) =>
        discoverKeys(
          async (path, getSignal) => (await kube.stream(path, undefined, getSignal)).json(),
          fetchSignal,
        ),
      audience: COPIER_AUDIENCE,
      readers: settings.readers,
      operators: settings.operators,
      now: systemClock.monotonic,
      log,
    });
    const paths = await upstreamFiles(settings.upstreamsFile);
    const upstreams = await FileValue.read({
      paths,
      log,
      parse: (contents) => parseUpstreamSettings(paths, contents),
    });
    const policies = new ObjectCache<PolicyRecord>();
    const claims = indexClaims(new ObjectCache<Claim>());
    const work = new AbortController();
    const copier = composeCopier({
      settings,
      upstreams,
      policies: () => policies.values(),
      proxies: outboundProxies(process.env),
      secrets: new KubePullSecrets(kube, claims, CACHED_IMAGE_PATIENCE_MS),
      log,
      signal: work.signal,
    });
    const counted = copierMetrics(metrics, {
      flights: () => copier.flights.size,
      spoolBytes: () => copier.spool.reserved,
    });
    const slices = new ObjectCache<EndpointSlice>();
    const placement = new Placement({
      self: settings.podAddress,
      port: settings.listen.port,
      replicas: () => readyAddresses(slices.values()),
    });
    const readiness = new Readiness(signal);
    readiness.add('token keys', () =>
      verifier.ready ? undefined : "the cluster's token keys are not known yet",
    );
    const flights: Component = {
      name: 'flights',
      start: () =>
        Promise.resolve({
          stop: async () => {
            await copier.flights.settle();
            work.abort(new Error('the copier is stopping'));
            await copier.close();
            await connection.close();
          },
        }),
    };
    return [
      healthServer({ address: settings.metricsListen, metrics, readiness }),
      flights,
      upstreams.component('upstream settings'),
      tls.component('serving certificate'),
      loop('token keys', async (loopSignal) => {
        while (!loopSignal.aborted) {
          await verifier.refresh();
          await sleep(verifier.ready ? KEYS_REFRESH_MS : KEYS_RETRY_MS, undefined, {
            signal: loopSignal,
          });
        }
      }),
      cacheWatch(kube, policyRecords, policies, { log }),
      cacheWatch(kube, claimRecords, claims, { log }),
      cacheWatch(kube, endpointSlices, slices, {
        log,
        namespace: settings.namespace,
        labelSelector: `kubernetes.io/service-name=${settings.fullname ?? ''}-copier`,
      }),
      keepSelfTestImage(copier.store, { clock: systemClock, log }),
      httpServer({
        name: 'copier server',
        addresses: [settings.listen],
        handler: copierHandler({
          verifier,
          manifests: copier.manifests,
          blobs: copier.blobs,
          lists: copier.lists,
          orders: copier.orders,
          placement,
          metrics: counted,
          log,
        }),
        tls,
        lingerMs: settings.lingerTime,
        drainMs: settings.drainTime,
      }),
    ];
  },
});
