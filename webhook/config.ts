/** The settings of the webhook. */
import { PROXY_HOST } from '../api/names.ts';
import { defineConfig } from '../platform/config.ts';
import { identitySettings, metricsSettings, releaseSettings } from '../platform/release-settings.ts';
import { duration, listenAddress, text } from '../platform/settings.ts';

export const webhookConfig = defineConfig({
  ...releaseSettings,
  ...identitySettings,
  ...metricsSettings,
  listen: {
    env: 'LARDER_LISTEN',
    default: ':8443',
    help: 'where the API server reaches the webhook, over TLS',
    schema: listenAddress(),
  },
  tlsFolder: {
    env: 'LARDER_TLS',
    default: '/etc/larder/tls',
    help: 'the folder with tls.crt and tls.key, which are read again when they change',
    schema: text(),
  },
  callerToken: {
    env: 'LARDER_ADMISSION_CALLER',
    default: '/etc/larder/admission-caller/token',
    help: 'the file with the token in the path by which the API server calls; it is read again when it changes',
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
    default: PROXY_HOST,
    help: 'host and port at which a node reaches its proxy; rewritten images start with it',
    schema: text(),
  },
  proxySelector: {
    env: 'LARDER_PROXY_SELECTOR',
    help: 'label selector of the proxy Pods',
    schema: text(),
  },
  lingerTime: {
    env: 'LARDER_LINGER_TIME',
    default: '5s',
    help: 'how long to keep answering after SIGTERM, until the API server knows that this replica is going',
    schema: duration(),
  },
});
