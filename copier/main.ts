/** The copier: fetches from upstream registries, for waiting proxies and on the controller's orders. */
import { COPIER_AUDIENCE } from '../api/names.ts';
import { type PolicyRecord, policyRecords } from '../api/policy-records.ts';
import { systemClock } from '../platform/clock.ts';
import { FileValue } from '../platform/file-watch.ts';
import { healthServer, Readiness } from '../platform/health.ts';
import { httpServer } from '../platform/http-server.ts';
import { cacheWatch, ObjectCache } from '../platform/kube/cache.ts';
import { KubeClient } from '../platform/kube/client.ts';
import { connect, connectionComponent, loadKubeConfig } from '../platform/kube/connection.ts';
import { endpointSlices, type EndpointSlice } from '../platform/kube/resource.ts';
import { runMain } from '../platform/main.ts';
import { readTlsFolder } from '../platform/tls-files.ts';
import { outboundProxies } from '../registry/transport/http/outbound-proxy.ts';
import { parseUpstreamSettings, upstreamFiles } from '../registry/transport/settings/upstream-settings.ts';
import { Placement, readyAddresses } from './api/placement.ts';
import { copierHandler } from './api/server.ts';
import { clusterKeys, tokenKeys } from './api/token-keys.ts';
import { TokenVerifier } from './api/token-verifier.ts';
import { Copier } from './compose.ts';
import { copierConfig } from './config.ts';
import { copierMetrics } from './metrics.ts';
import { Shutdown } from './shutdown.ts';
import { keepSelfTestImage } from './store/self-test-image.ts';
import {
  indexTenantImages,
  KubePullSecrets,
  type TenantImage,
  tenantImages,
} from './upstream/kube-secrets.ts';

/** How long a pull waits for the CachedImage of a pod that has just been made, in milliseconds. */
const CACHED_IMAGE_PATIENCE_MS = 2_000;

await runMain({
  process: 'copier',
  summary: 'fetches images from upstream registries into the store, for waiting proxies and on orders',
  config: copierConfig,
  compose: async ({ settings, log, metrics, signal }) => {
    const clock = systemClock;
    const tls = await readTlsFolder(settings.tlsFolder, log);
    const connection = connect(loadKubeConfig(settings.kubeconfig));
    const kube = new KubeClient(connection, 'larder-copier');
    const verifier = new TokenVerifier({
      fetchKeys: clusterKeys(kube),
      audience: COPIER_AUDIENCE,
      pullers: settings.pullers,
      operators: settings.operators,
      now: clock.monotonic,
      log,
    });
    const keys = tokenKeys(verifier);
    const paths = await upstreamFiles(settings.upstreamsFile);
    const upstreamSettings = await FileValue.read({
      paths,
      log,
      parse: (contents) => parseUpstreamSettings(paths, contents),
    });
    const policies = new ObjectCache<PolicyRecord>();
    const images = indexTenantImages(new ObjectCache<TenantImage>());
    const slices = new ObjectCache<EndpointSlice>();
    const work = new AbortController();
    const copier = new Copier({
      settings,
      upstreamSettings,
      policies,
      proxies: outboundProxies(process.env),
      secrets: new KubePullSecrets(kube, images, CACHED_IMAGE_PATIENCE_MS),
      log,
      signal: work.signal,
    });
    const placement = new Placement({
      self: settings.podAddress,
      port: settings.listen.port,
      replicas: () => readyAddresses(slices.values()),
    });
    const readiness = new Readiness(signal);
    readiness.add('token keys', keys.check);
    return [
      healthServer({ address: settings.metricsListen, metrics, readiness }),
      connectionComponent(connection),
      new Shutdown(copier, work),
      upstreamSettings.component('upstream settings'),
      tls.component('serving certificate'),
      keys.component,
      cacheWatch(kube, policyRecords, policies, { log }),
      cacheWatch(kube, tenantImages, images, { log }),
      cacheWatch(kube, endpointSlices, slices, {
        log,
        namespace: settings.namespace,
        labelSelector: `kubernetes.io/service-name=${settings.fullname ?? ''}-copier`,
      }),
      keepSelfTestImage(copier.store, { clock, log }),
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
          metrics: copierMetrics(metrics, copier),
          log,
        }),
        tls,
        lingerMs: settings.lingerTime,
        drainMs: settings.drainTime,
      }),
    ];
  },
});
