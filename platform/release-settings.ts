/** Settings that several processes share. */
import { hostname } from 'node:os';
import { defineConfig } from './config.ts';
import { listenAddress, text } from './settings.ts';

/** Where the objects of the release are, and how their names start. */
export const releaseSettings = defineConfig({
  namespace: {
    env: 'LARDER_NAMESPACE',
    help: 'the namespace of the release',
    schema: text(),
  },
  fullname: {
    env: 'LARDER_FULLNAME',
    help: 'the full name of the release, which the names of its objects start with',
    schema: text(),
  },
});

/** For processes that write Events or hold the lease. */
export const identitySettings = defineConfig({
  identity: {
    env: 'LARDER_POD_NAME',
    default: hostname(),
    help: 'the name of this process in Events and in the lease',
    schema: text(),
  },
});

/** For processes with a Pod network of their own. The proxy shares its node's, and has another default. */
export const metricsSettings = defineConfig({
  metricsListen: {
    env: 'LARDER_METRICS_LISTEN',
    default: ':8080',
    help: 'where /healthz, /readyz and /metrics are served',
    schema: listenAddress(),
  },
});
