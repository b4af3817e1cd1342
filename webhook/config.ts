/** The settings of the webhook. */
import { defineConfig } from '../platform/config.ts';
import { identitySettings, releaseSettings } from '../platform/release-settings.ts';
import { duration, listenAddress, text } from '../platform/settings.ts';

export const config = defineConfig({
  ...releaseSettings,
  ...identitySettings,
  listen: {
    env: 'LARDER_LISTEN',
    default: ':8443',
    help: 'where the API server reaches the webhook, over TLS',
    schema: listenAddress(),
  },
  metricsListen: {
    env: 'LARDER_METRICS_LISTEN',
    default: ':8080',
    help: 'where /healthz, /readyz and /metrics are served',
    schema: listenAddress(),
  },
  tlsFolder: {
    env: 'LARDER_TLS',
    default: '/etc/larder/tls',
    help: 'the folder with tls.crt and tls.key; they are read again when they change',
    schema: text(),
  },
  capabilityKeys: {
    env: 'LARDER_CAPABILITY_KEYS',
    default: '/etc/larder/capability-keys/keys',
    help: 'the file with the keys that the names of private images are signed with; it is read again when it changes',
    schema: text(),
  },
  proxyAddress: {
    env: 'LARDER_PROXY_ADDRESS',
    default: 'localhost:7439',
    help: 'host and port under which nodes know the proxy; what images are rewritten to',
    schema: text(),
  },
  proxySelector: {
    env: 'LARDER_PROXY_SELECTOR',
    help: 'label selector of the Pods of the proxies',
    schema: text(),
  },
  lingerTime: {
    env: 'LARDER_LINGER_TIME',
    default: '5s',
    help: 'how long to go on answering after SIGTERM, until the API server has heard that this replica leaves',
    schema: duration(),
  },
});
