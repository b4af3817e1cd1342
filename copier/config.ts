/** The copier's settings. */
import { defineConfig } from '../platform/config.ts';
import { bytes, duration, httpUrl, integer, list, listenAddress, text } from '../platform/settings.ts';

export const copierConfig = defineConfig({
  listen: {
    env: 'LARDER_COPIER_LISTEN',
    default: ':7441',
    help: 'address of the pull API and the orders (TLS)',
    schema: listenAddress(),
  },
  metricsListen: {
    env: 'LARDER_METRICS_LISTEN',
    default: ':8080',
    help: 'address of /healthz, /readyz and /metrics',
    schema: listenAddress(),
  },
  tlsFolder: {
    env: 'LARDER_TLS',
    default: '/etc/larder/tls',
    help: 'folder with tls.crt and tls.key',
    schema: text(),
  },
  pullers: {
    env: 'LARDER_COPIER_READERS',
    default: '',
    help: 'ServiceAccounts that may pull, as namespace/name, comma-separated',
    schema: list(),
  },
  operators: {
    env: 'LARDER_COPIER_OPERATORS',
    default: '',
    help: 'ServiceAccounts that may pull and order, as namespace/name, comma-separated',
    schema: list(),
  },
  kubeconfig: {
    env: 'LARDER_KUBECONFIG',
    help: "kubeconfig file; the Pod's ServiceAccount when absent",
    schema: text().optional(),
  },
  namespace: {
    env: 'LARDER_NAMESPACE',
    help: 'the namespace of the release',
    schema: text().optional(),
  },
  fullname: {
    env: 'LARDER_FULLNAME',
    help: 'the full name of the release, which its objects begin with',
    schema: text().optional(),
  },
  podAddress: {
    env: 'LARDER_POD_ADDRESS',
    help: "this replica's own address, at which the others reach it; none when there are no others",
    schema: text().optional(),
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
  storeWriterUrl: {
    env: 'LARDER_STORE_WRITER_URL',
    help: "URL of the store's writer",
    schema: httpUrl(),
  },
  storeWriterLogin: {
    env: 'LARDER_STORE_WRITER_LOGIN',
    help: "folder with the login to the store's writer; absent: it asks for none",
    schema: text().optional(),
  },
  storeDeadline: {
    env: 'LARDER_STORE_DEADLINE',
    default: '2s',
    help: "how long the store's reader or writer may take to begin its response to a read",
    schema: duration(),
  },
  upstreamsFile: {
    env: 'LARDER_UPSTREAMS_FILE',
    help: 'JSON file with settings per upstream registry',
    schema: text().optional(),
  },
  connectDeadline: {
    env: 'LARDER_CONNECT_DEADLINE',
    default: '5s',
    help: 'how long connecting to a registry may take',
    schema: duration(),
  },
  responseDeadline: {
    env: 'LARDER_RESPONSE_DEADLINE',
    default: '20s',
    help: 'how long an upstream registry may take to begin its response',
    schema: duration(),
  },
  silenceDeadline: {
    env: 'LARDER_SILENCE_DEADLINE',
    default: '30s',
    help: 'how long a transfer may stay silent',
    schema: duration(),
  },
  freshFor: {
    env: 'LARDER_FRESH_FOR',
    default: '30s',
    help: 'how long a tag is served without asking upstream whether it has moved',
    schema: duration(),
  },
  revalidateDeadline: {
    env: 'LARDER_REVALIDATE_DEADLINE',
    default: '1s',
    help: 'how long upstream may take to say whether a cached tag has moved',
    schema: duration(),
  },
  upstreamPause: {
    env: 'LARDER_UPSTREAM_PAUSE',
    default: '10s',
    help: 'how long an upstream that could not be reached is left alone; doubles up to 2 minutes for cached tags, 30 s for what is not cached',
    schema: duration(),
  },
  upstreamTransfers: {
    env: 'LARDER_UPSTREAM_TRANSFERS',
    default: '32',
    help: 'blobs fetched at the same time from one registry; the others wait',
    schema: integer(1, 1_000),
  },
  limitPause: {
    env: 'LARDER_LIMIT_PAUSE',
    default: '10s',
    help: 'how long a registry that limits us (429) is left alone when it does not say for how long',
    schema: duration(),
  },
  maxLimitPause: {
    env: 'LARDER_MAX_LIMIT_PAUSE',
    default: '10m',
    help: 'how long a registry that limits us is left alone at most',
    schema: duration(),
  },
  spoolFolder: {
    env: 'LARDER_SPOOL_FOLDER',
    default: '/var/spool/larder',
    help: 'folder for blobs that are being downloaded',
    schema: text(),
  },
  spoolLimit: {
    env: 'LARDER_SPOOL_LIMIT',
    default: '8Gi',
    help: 'bytes that all downloads may take together; beyond that, blobs are passed on without being stored',
    schema: bytes(),
  },
  commitPatience: {
    env: 'LARDER_COMMIT_PATIENCE',
    default: '10m',
    help: "how long a downloaded blob is kept while the store's writer is away",
    schema: duration(),
  },
  parallelBlobs: {
    env: 'LARDER_PARALLEL_BLOBS',
    default: '4',
    help: 'blobs of one image that are fetched at the same time',
    schema: integer(1, 64),
  },
  secretFreshFor: {
    env: 'LARDER_SECRET_FRESH_FOR',
    default: '5s',
    help: 'how long a pull secret is used without being read again',
    schema: duration(),
  },
  lingerTime: {
    env: 'LARDER_LINGER_TIME',
    default: '5s',
    help: 'how long to take new requests after SIGTERM, until all proxies know that this replica leaves',
    schema: duration(),
  },
  drainTime: {
    env: 'LARDER_DRAIN_TIME',
    default: '5m',
    help: 'how long pulls and orders under way may go on after SIGTERM',
    schema: duration(),
  },
});
