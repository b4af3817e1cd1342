/** The proxy's settings. */
import { defineConfig } from '../platform/config.ts';
import { boolean, duration, httpUrl, integer, listenAddress, text } from '../platform/settings.ts';

export const proxyConfig = defineConfig({
  listenPort: {
    env: 'LARDER_PROXY_LISTEN_PORT',
    default: '7439',
    help: 'port on the loopback addresses at which the runtime pulls',
    schema: integer(0, 65_535),
  },
  ownSocket: {
    env: 'LARDER_PROXY_OWN_SOCKET',
    default: '/run/larder/proxy.sock',
    help: 'unix socket at which this proxy and no other answers, for the self-test and the startup probe',
    schema: text(),
  },
  metricsListen: {
    env: 'LARDER_METRICS_LISTEN',
    default: ':7440',
    help: 'address of /healthz, /readyz and /metrics',
    schema: listenAddress(),
  },
  storeReaderUrl: {
    env: 'LARDER_STORE_READER_URL',
    help: "URL of the store's reader",
    schema: httpUrl(),
  },
  storeReaderLogin: {
    env: 'LARDER_STORE_READER_LOGIN',
    help: "folder with the login to the store's reader; absent: it asks for none",
    schema: text().optional(),
  },
  copierUrl: {
    env: 'LARDER_COPIER_URL',
    help: 'URL of the copier',
    schema: httpUrl(),
  },
  copierServerName: {
    env: 'LARDER_COPIER_SERVER_NAME',
    help: "name in the copier's certificate; absent: the host of LARDER_COPIER_URL",
    schema: text().optional(),
  },
  copierCaFile: {
    env: 'LARDER_COPIER_CA_FILE',
    default: '/etc/larder/ca/ca.crt',
    help: 'file with the PEM certificates that the copier is verified with',
    schema: text(),
  },
  copierTokenFile: {
    env: 'LARDER_COPIER_TOKEN_FILE',
    default: '/var/run/secrets/larder/copier/token',
    help: 'file with the ServiceAccount token for the copier',
    schema: text(),
  },
  upstreamsFile: {
    env: 'LARDER_UPSTREAMS_FILE',
    help: 'JSON file with settings per upstream registry',
    schema: text().optional(),
  },
  upstreamFallback: {
    env: 'LARDER_UPSTREAM_FALLBACK',
    default: 'true',
    help: 'whether public images are pulled from their registry when neither store nor copier serves them',
    schema: boolean(),
  },
  rootlessRuntime: {
    env: 'LARDER_ROOTLESS_RUNTIME',
    default: 'false',
    help: "whether the node's runtime runs as another user than root, so that it cannot be told from other processes",
    schema: boolean(),
  },
  peerDeadline: {
    env: 'LARDER_PEER_DEADLINE',
    default: '1s',
    help: 'how long the store or the copier may give no sign of life before it counts as down',
    schema: duration(),
  },
  peerPatience: {
    env: 'LARDER_PEER_PATIENCE',
    default: '5s',
    help: 'how long the copier may give no sign of life when the image is not cached',
    schema: duration(),
  },
  responseDeadline: {
    env: 'LARDER_RESPONSE_DEADLINE',
    default: '30s',
    help: 'how long the copier or an upstream registry may take to begin its response',
    schema: duration(),
  },
  silenceDeadline: {
    env: 'LARDER_SILENCE_DEADLINE',
    default: '60s',
    help: 'how long the body of a response may stay silent',
    schema: duration(),
  },
  drainTime: {
    env: 'LARDER_DRAIN_TIME',
    default: '5m',
    help: 'how long pulls under way may go on after SIGTERM',
    schema: duration(),
  },
  capabilityKeys: {
    env: 'LARDER_CAPABILITY_KEYS',
    default: '/etc/larder/capability-keys/keys',
    help: 'the file with the keys that the names of private images are checked with; it is read again when it changes',
    schema: text(),
  },
  steerPortProgram: {
    env: 'LARDER_STEER_PORT_PROGRAM',
    default: '/usr/local/bin/steer-port',
    help: 'the program with which a proxy that stops sends its clients to its successor',
    schema: text(),
  },
  peerPause: {
    env: 'LARDER_PEER_PAUSE',
    default: '5s',
    help: 'how long a store or copier that hung is asked last; doubles up to 30 s while it goes on hanging',
    schema: duration(),
  },
  selfTestInterval: {
    env: 'LARDER_SELF_TEST_INTERVAL',
    default: '10s',
    help: 'how often a small image is read through the proxy itself; a proxy that cannot is not ready',
    schema: duration(),
  },
});
