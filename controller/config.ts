/** The settings of the controller. */
import { PROXY_HOST } from '../api/names.ts';
import { defineConfig } from '../platform/config.ts';
import { identitySettings, releaseSettings } from '../platform/release-settings.ts';
import { boolean, bytes, duration, httpUrl, integer, listenAddress, text } from '../platform/settings.ts';

export const controllerConfig = defineConfig({
  ...releaseSettings,
  ...identitySettings,
  copierUrl: {
    env: 'LARDER_COPIER_URL',
    help: 'URL of the copier, https://…',
    schema: httpUrl(),
  },
  copierServerName: {
    env: 'LARDER_COPIER_SERVER_NAME',
    help: "the name in the copier's certificate",
    schema: text(),
  },
  copierTokenFile: {
    env: 'LARDER_COPIER_TOKEN_FILE',
    default: '/var/run/secrets/larder/copier/token',
    help: 'file with the ServiceAccount token for the copier',
    schema: text(),
  },
  ownStore: {
    env: 'LARDER_OWN_STORE',
    default: 'true',
    help: 'whether the store belongs to the release, so that the controller makes its logins',
    schema: boolean(),
  },
  ownWebhookCertificate: {
    env: 'LARDER_OWN_WEBHOOK_CERTIFICATE',
    default: 'true',
    help: "whether the controller makes the webhook's certificate and caBundle; otherwise cert-manager does",
    schema: boolean(),
  },
  certificateCheck: {
    env: 'LARDER_CERTIFICATE_CHECK',
    default: '30s',
    help: 'how often certificates and logins are checked',
    schema: duration(),
  },
  caSettleTime: {
    env: 'LARDER_CA_SETTLE_TIME',
    default: '5m',
    help: 'how long a new CA is trusted before it signs, and an old one after its last certificate was replaced',
    schema: duration(),
  },
  proxyHost: {
    env: 'LARDER_PROXY_ADDRESS',
    default: PROXY_HOST,
    help: 'host and port of the proxy in the names of rewritten images',
    schema: text(),
  },
  policiesFile: {
    env: 'LARDER_POLICIES_FILE',
    default: '/etc/larder/policies/policies.json',
    help: 'JSON file with CachePolicies to create: name → spec',
    schema: text(),
  },
  maxCopies: {
    env: 'LARDER_MAX_COPIES',
    default: '4',
    help: 'how many images are copied at once',
    schema: integer(1, 1_000),
  },
  maxCopiesPerUpstream: {
    env: 'LARDER_MAX_COPIES_PER_UPSTREAM',
    default: '2',
    help: 'how many images are copied at once from one registry',
    schema: integer(1, 1_000),
  },
  copySilence: {
    env: 'LARDER_COPY_SILENCE',
    default: '2m',
    help: 'how long the copier may report nothing about a copy before the copy is given up',
    schema: duration(),
  },
  retryBase: {
    env: 'LARDER_COPY_RETRY_BASE',
    default: '5s',
    help: 'how long to wait after the first failure of a copy; each further failure doubles it',
    schema: duration(),
  },
  retryMax: {
    env: 'LARDER_COPY_RETRY_MAX',
    default: '5m',
    help: 'how long to wait at most before a copy is tried again',
    schema: duration(),
  },
  storeUrl: {
    env: 'LARDER_STORE_URL',
    help: "URL of the supervisor of the release's own store, http://…; absent when images are kept elsewhere",
    schema: httpUrl().optional(),
  },
  storePoll: {
    env: 'LARDER_STORE_POLL',
    default: '10s',
    help: 'how often to ask the store for its status',
    schema: duration(),
  },
  collectWorth: {
    env: 'LARDER_COLLECT_WORTH',
    default: '1Gi',
    help: 'how much space removed images must take for the store to collect garbage soon',
    schema: bytes(),
  },
  collectAfter: {
    env: 'LARDER_COLLECT_AFTER',
    default: '1d',
    help: 'how long removed images take up space in the store at most',
    schema: duration(),
  },
  maxSize: {
    env: 'LARDER_MAX_SIZE',
    help: 'how much space all images may take, such as 200Gi; beyond it unused images go, the longest unused first; absent: no limit',
    schema: bytes().optional(),
  },
  expireAfter: {
    env: 'LARDER_EXPIRE_AFTER',
    default: '30d',
    help: 'how long an image that no pod uses stays',
    schema: duration(),
  },
  keepLost: {
    env: 'LARDER_KEEP_LOST',
    default: 'true',
    help: 'whether an unused image stays when its upstream no longer serves it',
    schema: boolean(),
  },
  dropAfter: {
    env: 'LARDER_DROP_AFTER',
    default: '10m',
    help: 'how long an image that could not be copied stays after its last pod',
    schema: duration(),
  },
  refreshEvery: {
    env: 'LARDER_REFRESH_EVERY',
    default: '1h',
    help: 'how often upstream is asked whether it still serves an image, and with which digest',
    schema: duration(),
  },
  checkSpacing: {
    env: 'LARDER_CHECK_SPACING',
    default: '250ms',
    help: 'how long to wait between two images when asking one registry whether it still serves them',
    schema: duration(),
  },
  verifyEvery: {
    env: 'LARDER_VERIFY_EVERY',
    default: '1h',
    help: 'how often the store is asked whether it holds all of an image',
    schema: duration(),
  },
  keepPrevious: {
    env: 'LARDER_KEEP_PREVIOUS',
    default: '1h',
    help: 'how long the earlier digest of a tag stays at least, once the tag has moved',
    schema: duration(),
  },
  deleteDeadline: {
    env: 'LARDER_DELETE_DEADLINE',
    default: '10m',
    help: 'how long to try to delete an image from the store before it is left there',
    schema: duration(),
  },
  rescue: {
    env: 'LARDER_RESCUE',
    default: 'true',
    help: 'whether a container that cannot pull its image is given the other name of that image',
    schema: boolean(),
  },
  rescuePatience: {
    env: 'LARDER_RESCUE_PATIENCE',
    default: '30s',
    help: 'how long a pull through a working proxy may keep failing before the original image is restored',
    schema: duration(),
  },
  startupTaint: {
    env: 'LARDER_STARTUP_TAINT',
    default: 'false',
    help: 'whether the taint larder.dev/proxy-not-ready is removed from nodes whose proxy is ready',
    schema: boolean(),
  },
  startupTaintPatience: {
    env: 'LARDER_STARTUP_TAINT_PATIENCE',
    default: '5m',
    help: 'how long after its creation a node keeps the taint larder.dev/proxy-not-ready at most',
    schema: duration(),
  },
  metricsListen: {
    env: 'LARDER_METRICS_LISTEN',
    default: ':8080',
    help: 'where /healthz, /readyz and /metrics are served',
    schema: listenAddress(),
  },
});
